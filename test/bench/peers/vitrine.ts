/** Our own runtime as a peer: what the engine does each step, less scheduling. */

import type { ModelRunner } from "../../../src/engine/runner.js";
import { Random } from "../../../src/engine/sampling/random.js";
import { Sampler, type SamplingState } from "../../../src/engine/sampling/sampler.js";
import { monotonicMicros, type RuntimeRequest } from "../../../src/protocol.js";
import { loadModel } from "../../../src/runtime/load/load-model.js";
import { GREEDY } from "../../support/engine-requests.js";
import { runLogits } from "../../support/run-logits.js";
import { type Peer, type PeerSettings, servePeer } from "./peer.js";

const STATE: SamplingState = {
  params: GREEDY,
  random: Random.seeded(0),
  counts: undefined,
  suppressed: undefined,
};

class VitrinePeer implements Peer {
  readonly #sampler: Sampler;
  #prompt: Int32Array = new Int32Array(0);
  #length = 0;
  #last = 0;

  constructor(private readonly runner: ModelRunner) {
    this.#sampler = new Sampler(runner.model.vocabSize);
  }

  async prefill(prompt: Int32Array): Promise<void> {
    this.runner.release(0);
    this.#prompt = prompt;
    this.#length = 0;
    await this.#feed(prompt);
  }

  /** onnxruntime-node's binding cannot go back: there a short prompt is fed again, a long one may grow by a few steps. */
  async rewind(context: number): Promise<void> {
    if (this.runner.device.runtime?.kind === "native") this.#length = context;
    else if (this.#length > context && context < 1000) await this.prefill(this.#prompt);
  }

  async decode(steps: number): Promise<void> {
    for (let step = 0; step < steps; step++) await this.#feed(Int32Array.of(this.#last));
  }

  async #feed(tokens: Int32Array): Promise<void> {
    const [logits] = await runLogits(this.runner, [{ slot: 0, tokens, past: this.#length }]);
    this.#length += tokens.length;
    this.#last = this.#sampler.sample(logits as Float32Array, STATE);
  }
}

await servePeer(async ({ model, threads, option }: PeerSettings) => {
  const options = { modelDir: model, dtype: "q4", device: "cpu", threads, maxSequences: 1 } as const;
  const loaded = await loadModel({ ...options, runtime: option as RuntimeRequest }, monotonicMicros, () => {});
  return new VitrinePeer(loaded.runner);
});
