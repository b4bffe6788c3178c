import assert from "node:assert/strict";
import { deviceLines } from "../../../src/cli/device-lines.js";

describe("device lines", () => {
  it("say where a model runs, what runs it, and why", () => {
    assert.deepEqual(deviceLines({ requested: "cpu", provider: "cpu", reason: "Asked for." }), [
      "Device    cpu: Asked for.",
    ]);
    const runtime = { requested: "auto", kind: "native", reason: "It can." } as const;
    const cuda = { requested: "auto", provider: "cuda", deviceId: 1, reason: "It is here.", runtime } as const;
    const lines = deviceLines({ ...cuda, replay: { on: false, reason: "The graph has control flow." } });
    assert.deepEqual(lines, [
      "Device    cuda:1: It is here.",
      "Runtime   native: It can.",
      "Replay    off: The graph has control flow.",
    ]);
    assert.equal(deviceLines({ ...cuda, replay: { on: true, reason: "So." } }).at(-1), "Replay    on: So.");
  });
});
