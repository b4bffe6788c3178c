import type { ManualClock } from "./manual-clock.js";

/** `onnxruntime-node`'s exports as far as programs use them; a run takes a millisecond of the test's clock. */
export function fakeOnnxRuntime(clock: ManualClock) {
  class InferenceSession {
    static async create(_model: string | Uint8Array, _options?: object): Promise<InferenceSession> {
      await null;
      clock.advance(20_000);
      return new InferenceSession();
    }

    async run(feeds: Readonly<Record<string, unknown>>): Promise<object> {
      await null;
      clock.advance(1_000);
      if (feeds.fail instanceof Error) throw feeds.fail;
      return { logits: feeds };
    }

    async release(): Promise<void> {}
  }

  return { InferenceSession, listSupportedBackends: () => [] };
}
