import assert from "node:assert/strict";
import { checkMemory } from "../../../src/doctor/memory.js";
import { lines } from "./findings.js";

const GIB = 2 ** 30;

describe("doctor: memory", () => {
  it("tells the machine's, and a container's limit", () => {
    assert.deepEqual(lines(checkMemory({ total: 64 * GIB, available: 50 * GIB, limit: 64 * GIB })), [
      "ok 64 GiB, 50 GiB available",
    ]);
    assert.deepEqual(lines(checkMemory({ total: 64 * GIB, available: 50 * GIB, limit: 8 * GIB })), [
      "ok 64 GiB, of which this container may use 8.0 GiB, 8.0 GiB available",
    ]);
  });

  it("warns where hardly any is left", () => {
    assert.match(lines(checkMemory({ total: 8 * GIB, available: GIB / 4, limit: 8 * GIB }))[0] ?? "", /^warning/);
  });
});
