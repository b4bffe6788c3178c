/**
 * transformers.js: its model class and its forward pass, and the arg-max of the last row. Its `generate` does the same
 * and more for each token, so this is the peer at its best.
 */
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { argMax, type Peer, type PeerSettings, servePeer } from "./peer.js";

interface Tensor {
  readonly data: Float32Array;
  readonly dims: readonly number[];
}
type Cache = Readonly<Record<string, Tensor>>;
type Model = (inputs: Readonly<Record<string, Tensor | Cache | null>>) => Promise<Record<string, Tensor>>;

interface Transformers {
  readonly env: { allowRemoteModels: boolean; localModelPath: string };
  readonly Tensor: new (type: "int64", data: BigInt64Array, dims: readonly number[]) => Tensor;
  readonly DynamicCache: new (entries: Cache) => Cache;
  readonly AutoModelForCausalLM: {
    from_pretrained(name: string, options: Readonly<Record<string, unknown>>): Promise<Model>;
  };
}

class TransformersPeer implements Peer {
  #cache: Cache | undefined;
  #length = 0;
  #last = 0;
  #held: { cache: Cache; length: number } | undefined;

  constructor(
    private readonly library: Transformers,
    private readonly model: Model,
  ) {}

  async prefill(prompt: Int32Array): Promise<void> {
    this.#cache = this.#held = undefined;
    this.#length = 0;
    await this.#forward(prompt);
    // Its cache is new tensors at every step: those of the prompt stay as they are.
    this.#held = { cache: { ...(this.#cache as unknown as Cache) }, length: this.#length };
  }

  async rewind(): Promise<void> {
    if (this.#held === undefined) return;
    this.#cache = new this.library.DynamicCache(this.#held.cache);
    this.#length = this.#held.length;
  }

  async decode(steps: number): Promise<void> {
    for (let step = 0; step < steps; step++) await this.#forward(Int32Array.of(this.#last));
  }

  async #forward(tokens: Int32Array): Promise<void> {
    const { Tensor, DynamicCache } = this.library;
    this.#length += tokens.length;
    const outputs = await this.model({
      input_ids: new Tensor("int64", BigInt64Array.from(tokens, BigInt), [1, tokens.length]),
      attention_mask: new Tensor("int64", new BigInt64Array(this.#length).fill(1n), [1, this.#length]),
      past_key_values: this.#cache ?? null,
    });
    const present = Object.entries(outputs).filter(([name]) => name.startsWith("present"));
    this.#cache = new DynamicCache(
      Object.fromEntries(present.map(([name, tensor]) => [name.replace("present", "past_key_values"), tensor])),
    );
    const { data, dims } = outputs.logits as Tensor;
    this.#last = argMax(data.subarray(data.length - (dims[2] as number)));
  }
}

await servePeer(async ({ model, threads, option }: PeerSettings) => {
  const entry = createRequire(join(option as string, "package.json")).resolve("@huggingface/transformers");
  const library = (await import(pathToFileURL(entry).href)) as Transformers;
  library.env.allowRemoteModels = false;
  library.env.localModelPath = dirname(model);
  const session_options = { intraOpNumThreads: threads };
  const options = { dtype: "q4", device: "cpu", session_options };
  return new TransformersPeer(library, await library.AutoModelForCausalLM.from_pretrained(basename(model), options));
});
