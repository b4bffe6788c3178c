/** llama.cpp through node-llama-cpp and its prebuilt library, on a GGUF of the same shape. */
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type Peer, type PeerSettings, servePeer } from "./peer.js";

type Token = number;

interface Sequence {
  readonly nextTokenIndex: number;
  clearHistory(): Promise<void>;
  eraseContextTokenRanges(ranges: readonly { start: number; end: number }[]): Promise<void>;
  evaluate(tokens: readonly Token[], options: Readonly<Record<string, unknown>>): AsyncGenerator<Token>;
}

interface LlamaLibrary {
  getLlama(options: Readonly<Record<string, unknown>>): Promise<{
    loadModel(options: Readonly<Record<string, unknown>>): Promise<{
      createContext(options: Readonly<Record<string, unknown>>): Promise<{ getSequence(): Sequence }>;
    }>;
  }>;
}

const GREEDY = { temperature: 0, yieldEogToken: true };

class LlamaPeer implements Peer {
  #last = 0;

  constructor(private readonly sequence: Sequence) {}

  async prefill(prompt: Int32Array): Promise<void> {
    await this.sequence.clearHistory();
    for await (const token of this.sequence.evaluate([...prompt], GREEDY)) {
      this.#last = token;
      break;
    }
  }

  async rewind(context: number): Promise<void> {
    const end = this.sequence.nextTokenIndex;
    if (end > context) await this.sequence.eraseContextTokenRanges([{ start: context, end }]);
  }

  async decode(steps: number): Promise<void> {
    let done = 0;
    for await (const token of this.sequence.evaluate([this.#last], GREEDY)) {
      this.#last = token;
      if (++done === steps) break;
    }
  }
}

await servePeer(async ({ model, threads, context, option }: PeerSettings) => {
  const entry = createRequire(join(option as string, "package.json")).resolve("node-llama-cpp");
  const library = (await import(pathToFileURL(entry).href)) as LlamaLibrary;
  const llama = await library.getLlama({
    gpu: false,
    build: "never",
    skipDownload: true,
    maxThreads: threads,
    logLevel: "error",
    progressLogs: false,
  });
  const loaded = await llama.loadModel({ modelPath: model, gpuLayers: 0 });
  const state = await loaded.createContext({ contextSize: context, batchSize: 512, threads });
  return new LlamaPeer(state.getSequence());
});
