/** An engine process whose model costs nothing: what is left is the engine. */

import { serveEngine } from "../../src/engine/process.js";
import type { ModelRunner } from "../../src/engine/runner.js";

const VOCAB = 512;
/** A syllable of the shipped tokenizer, always the same. */
const TOKEN = 300;

serveEngine(async (options, clock) => {
  const at = clock();
  const row = new Float32Array(VOCAB);
  row[TOKEN] = 1;
  const rows = Array.from({ length: options.maxSequences }, () => ({ all: () => row }));
  const runner: ModelRunner = {
    model: {
      ...{ name: "free", dtype: "fp32", vocabSize: VOCAB, contextLength: 4096 },
      ...{ layers: 1, kvHeads: 1, headDim: 1, kvBytesPerToken: 8, kvTensorBytesPerToken: 4, weightBytes: 0 },
    },
    device: { requested: "cpu", provider: "cpu", reason: "It computes nothing." },
    rewinds: false,
    run: async (wanted) => rows.slice(0, wanted.length),
    reserve: () => {},
    copy: () => {},
    release: () => {},
    dispose: async () => {},
  };
  return { runner, device: runner.device, phases: [{ name: "session.create", start: at, end: clock() }] };
});
