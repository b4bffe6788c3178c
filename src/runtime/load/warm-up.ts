import type { ModelRunner } from "../../engine/runner.js";
import { VitrineError } from "../../errors.js";
import { reasonOf } from "../files/json-file.js";

/** What the longest run of a prompt feeds, so that a device's memory has what that takes when it is measured. */
const LONGEST_PROMPT = 256;

/**
 * A prompt and one decode step; a graph that fails here fails at load, not at the first request. Throws as `run` does, and
 * `device_unavailable` where there is no memory for that.
 */
export async function warmUp(runner: Pick<ModelRunner, "device" | "model" | "run" | "release">): Promise<void> {
  const { device, model } = runner;
  const tokens = device.provider === "cuda" ? Math.min(LONGEST_PROMPT, model.contextLength - 1) : 2;
  try {
    await runner.run([{ slot: 0, tokens: new Int32Array(tokens), past: 0 }]);
    await runner.run([{ slot: 0, tokens: Int32Array.of(0), past: tokens }]);
  } catch (cause) {
    if (!(cause instanceof VitrineError) || cause.code !== "out_of_memory") throw cause;
    // Its own words are for whoever sent a request.
    const reason = reasonOf(cause.details.cause ?? cause);
    throw new VitrineError(
      "device_unavailable",
      `${model.name} does not fit: with its weights loaded (${Math.round(model.weightBytes / 2 ** 20)} MiB), there is no memory to run ` +
        `${tokens} tokens. Use a smaller dtype (--dtype q4) or model, or free memory that other processes hold. ${reason}`,
      { param: "dtype", cause },
    );
  }
  runner.release(0);
}
