import assert from "node:assert/strict";
import { VitrineError } from "../../../../src/errors.js";
import { warmUp } from "../../../../src/runtime/load/warm-up.js";
import { FakeRunner, type FakeRunnerOptions } from "../../../support/fake-runner.js";

/** Without an engine nobody makes room. */
function open(options: FakeRunnerOptions = {}): FakeRunner {
  const runner = new FakeRunner({ contextLength: 1024, ...options });
  runner.reserve(1, 512);
  return runner;
}

const onCuda = (runner: FakeRunner) => ({
  model: runner.model,
  device: { ...runner.device, provider: "cuda" as const },
  run: runner.run.bind(runner),
  release: runner.release.bind(runner),
});

describe("the warm-up", () => {
  it("runs a prompt and a step, as long as they come where memory is measured next, and leaves nothing behind", async () => {
    for (const [kind, tokens] of [
      ["cpu", 2],
      ["cuda", 256],
    ] as const) {
      const runner = open();
      await warmUp(kind === "cpu" ? runner : onCuda(runner));
      assert.deepEqual(
        runner.runs.map(([row]) => [row?.past, row?.tokens.length]),
        [
          [0, tokens],
          [tokens, 1],
        ],
      );
      assert.deepEqual(runner.slotsHeld, []);
    }
  });

  it("refuses a model that there is no memory to run, and lets other failures be", async () => {
    const failing = (code: "out_of_memory" | "inference_failed") =>
      open({
        beforeRun: () => {
          throw new VitrineError(code, "Send a shorter request.", { cause: new Error("7 of 9 bytes are free.") });
        },
      });
    await assert.rejects(warmUp(onCuda(failing("out_of_memory"))), {
      code: "device_unavailable",
      message: /^fake does not fit: .*no memory to run 256 tokens\. Use a smaller dtype.* 7 of 9 bytes are free\.$/,
    });
    await assert.rejects(warmUp(failing("inference_failed")), { code: "inference_failed" });
  });
});
