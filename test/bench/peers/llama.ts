/**
 * llama.cpp, on a GGUF of the same shape: the library that node-llama-cpp ships, called directly. Through that package's
 * own evaluation loop a token costs up to 14 ms more, whatever the model.
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { koffi, type LibraryHandle } from "../../../native/koffi.js";
import { argMax, type Peer, type PeerSettings, servePeer } from "./peer.js";

/** More than either of llama.h's parameter structs has: C passes and returns structs of this size in memory. */
const PARAMS_BYTES = 512;
/** Positions of the struct's first fields: n_ctx, n_batch, n_ubatch and n_seq_max, 32 bits each. */
const CONTEXT_SIZES = 4;
/** Most tokens of a prompt in one run: llama.cpp's own default. */
const PROMPT_TOKENS = 512;

const PARAMS = koffi.struct({ bytes: koffi.array("uint8_t", PARAMS_BYTES) });
const BATCH = koffi.struct({ tokens: "int32_t", rest: koffi.array("uint64_t", 6) });
const LOG = koffi.pointer(koffi.proto("void", ["int", "str", "void *"]));

/** llama_batch: pointers to tokens, embeddings, positions, counts of sequences, sequences and flags for logits. */
interface Batch {
  tokens: number;
  readonly rest: readonly bigint[];
}

interface Params {
  readonly bytes: Uint8Array;
}

/** llama.h, as far as it is used here. */
interface Llama {
  readonly backendInit: () => void;
  readonly logSet: (log: bigint, data: null) => void;
  readonly modelDefaultParams: () => Params;
  readonly modelLoadFromFile: (path: string, params: Params) => bigint | null;
  readonly contextDefaultParams: () => Params;
  readonly initFromModel: (model: bigint, params: Params) => bigint | null;
  readonly setThreads: (context: bigint, threads: number, promptThreads: number) => void;
  readonly batchInit: (tokens: number, embeddings: number, sequences: number) => Batch;
  readonly batchGetOne: (tokens: Int32Array, count: number) => unknown;
  readonly decode: (context: bigint, batch: unknown) => number;
  readonly getLogits: (context: bigint, index: number) => bigint;
  readonly getMemory: (context: bigint) => bigint;
  readonly memoryRemove: (memory: bigint, sequence: number, from: number, to: number) => boolean;
}

function declare(library: LibraryHandle): Llama {
  const declared = {
    backendInit: library.func("llama_backend_init", "void", []),
    logSet: library.func("llama_log_set", "void", [LOG, "void *"]),
    modelDefaultParams: library.func("llama_model_default_params", PARAMS, []),
    modelLoadFromFile: library.func("llama_model_load_from_file", "void *", ["str", PARAMS]),
    contextDefaultParams: library.func("llama_context_default_params", PARAMS, []),
    initFromModel: library.func("llama_init_from_model", "void *", ["void *", PARAMS]),
    setThreads: library.func("llama_set_n_threads", "void", ["void *", "int32_t", "int32_t"]),
    batchInit: library.func("llama_batch_init", BATCH, ["int32_t", "int32_t", "int32_t"]),
    batchGetOne: library.func("llama_batch_get_one", BATCH, ["int32_t *", "int32_t"]),
    decode: library.func("llama_decode", "int32_t", ["void *", BATCH]),
    getLogits: library.func("llama_get_logits_ith", "void *", ["void *", "int32_t"]),
    getMemory: library.func("llama_get_memory", "void *", ["void *"]),
    memoryRemove: library.func("llama_memory_seq_rm", "bool", ["void *", "int32_t", "int32_t", "int32_t"]),
  };
  return declared as unknown as Llama;
}

class LlamaPeer implements Peer {
  #last = 0;

  constructor(
    private readonly llama: Llama,
    private readonly context: bigint,
    private readonly vocab: number,
  ) {}

  async prefill(prompt: Int32Array): Promise<void> {
    this.#forget(0);
    for (let start = 0; start < prompt.length; start += PROMPT_TOKENS)
      this.#feed(prompt.slice(start, start + PROMPT_TOKENS));
    this.#choose();
  }

  async rewind(context: number): Promise<void> {
    this.#forget(context);
  }

  async decode(steps: number): Promise<void> {
    for (let step = 0; step < steps; step++) {
      this.#feed(Int32Array.of(this.#last));
      this.#choose();
    }
  }

  /** One batch a step, with a token of each sequence. */
  async together(prompts: readonly Int32Array[], steps: number): Promise<number> {
    const batch = new SequenceBatch(this.llama.batchInit(PROMPT_TOKENS, 0, 1));
    const last = prompts.map((prompt, sequence) => {
      this.#forget(0, sequence);
      batch.clear();
      for (const [at, token] of prompt.entries()) batch.add(token, at, sequence, at === prompt.length - 1);
      this.#run(batch);
      return this.#likeliest(prompt.length - 1);
    });
    const start = performance.now();
    for (let step = 0; step < steps; step++) {
      batch.clear();
      for (const [sequence, prompt] of prompts.entries())
        batch.add(last[sequence] as number, prompt.length + step, sequence, true);
      this.#run(batch);
      for (const sequence of prompts.keys()) last[sequence] = this.#likeliest(sequence);
    }
    return performance.now() - start;
  }

  #run({ native }: SequenceBatch): void {
    const status = this.llama.decode(this.context, native);
    if (status !== 0) throw new Error(`llama_decode gave ${status}`);
  }

  #forget(from: number, sequence = 0): void {
    this.llama.memoryRemove(this.llama.getMemory(this.context), sequence, from, -1);
  }

  #feed(tokens: Int32Array): void {
    const status = this.llama.decode(this.context, this.llama.batchGetOne(tokens, tokens.length));
    if (status !== 0) throw new Error(`llama_decode gave ${status}`);
  }

  #choose(): void {
    this.#last = this.#likeliest(-1);
  }

  #likeliest(index: number): number {
    return argMax(new Float32Array(koffi.view(this.llama.getLogits(this.context, index), this.vocab * 4)));
  }
}

/** A batch of tokens of several sequences, in memory of llama.cpp. */
class SequenceBatch {
  readonly #tokens: Int32Array;
  readonly #positions: Int32Array;
  readonly #counts: Int32Array;
  readonly #sequences: readonly Int32Array[];
  readonly #logits: Int8Array;

  constructor(readonly native: Batch) {
    const [tokens, , positions, counts, sequences, logits] = native.rest as [
      bigint,
      bigint,
      bigint,
      bigint,
      bigint,
      bigint,
    ];
    const ints = (pointer: bigint, count: number) => new Int32Array(koffi.view(pointer, count * 4));
    this.#tokens = ints(tokens, PROMPT_TOKENS);
    this.#positions = ints(positions, PROMPT_TOKENS);
    this.#counts = ints(counts, PROMPT_TOKENS);
    this.#logits = new Int8Array(koffi.view(logits, PROMPT_TOKENS));
    const pointers = new BigUint64Array(koffi.view(sequences, PROMPT_TOKENS * 8));
    this.#sequences = Array.from(pointers, (pointer) => ints(pointer, 1));
  }

  clear(): void {
    this.native.tokens = 0;
  }

  add(token: number, position: number, sequence: number, logits: boolean): void {
    const at = this.native.tokens++;
    this.#tokens[at] = token;
    this.#positions[at] = position;
    this.#counts[at] = 1;
    (this.#sequences[at] as Int32Array)[0] = sequence;
    this.#logits[at] = logits ? 1 : 0;
  }
}

function open(folder: string): Llama {
  const named = (pattern: RegExp): string => {
    const file = readdirSync(folder).find((name) => pattern.test(name));
    if (file === undefined) throw new Error(`${folder} has no ${pattern}`);
    return join(folder, file);
  };
  const ggml = koffi.load(named(/^libggml\.[^-]*so/));
  ggml.func("ggml_backend_load_all_from_path", "void", ["str"])(folder);
  return declare(koffi.load(named(/^libllama\.[^-]*so/)));
}

await servePeer(async ({ model, threads, context, vocab, option, sequences = 1 }: PeerSettings) => {
  const platform = `${process.platform}-${process.arch}`;
  const llama = open(join(option as string, "node_modules/@node-llama-cpp", platform, "bins", platform));
  llama.logSet(
    koffi.register(() => {}, LOG),
    null,
  );
  llama.backendInit();
  const loaded = llama.modelLoadFromFile(model, llama.modelDefaultParams());
  if (loaded === null) throw new Error(`llama.cpp cannot load ${model}`);
  const params = llama.contextDefaultParams();
  const bytes = Uint8Array.from(params.bytes);
  new Uint32Array(bytes.buffer, 0, CONTEXT_SIZES).set([context * sequences, PROMPT_TOKENS, PROMPT_TOKENS, sequences]);
  const state = llama.initFromModel(loaded, { bytes });
  if (state === null) throw new Error("llama.cpp cannot create a context");
  llama.setThreads(state, threads, threads);
  return new LlamaPeer(llama, state, vocab);
});
