import assert from "node:assert/strict";
import { OrtEnvironment, OrtSession } from "../../../../native/ort.js";
import { identityModel } from "../../../../native/ort-models.js";
import { openCacheMemory } from "../../../../src/runtime/native/cache-memory.js";

describe("cache memory", () => {
  it("of single precision is the CPU's on CUDA too, whose attention has no kernel for it", async () => {
    const session = await OrtSession.create(OrtEnvironment.open(), identityModel("float32"), { threads: 1 });
    try {
      const cache = await openCacheMemory(session, "float32", { requested: "cuda", provider: "cuda", reason: "" });
      assert.equal(cache.memory.device, "cpu");
      cache.dispose();
    } finally {
      session.dispose();
    }
  });
});
