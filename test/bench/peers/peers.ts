import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Installation, installGenai, installLlama, installTransformers } from "../install.js";
import type { BenchModel } from "../model/bench-models.js";
import type { PeerSpec } from "../peer-process.js";
import type { PeerSettings } from "./peer.js";

export const NATIVE = "native";
export const NODE = "node";
export const ENGINE = "engine";
export const TRANSFORMERS = "transformers.js";
export const LLAMA = "llama.cpp";
export const GENAI = "onnxruntime-genai";

export type PeerName = typeof ENGINE | typeof NATIVE | typeof NODE | typeof TRANSFORMERS | typeof LLAMA | typeof GENAI;

const script = (name: string): string => fileURLToPath(new URL(`${name}.js`, import.meta.url));

/** Python is not compiled: it lies in the sources, three folders above this file's compiled form. */
const GENAI_SCRIPT = fileURLToPath(new URL("../../../../test/bench/peers/genai.py", import.meta.url));

/** What there is to measure, and how to start it. */
export class Peers {
  readonly #installed: ReadonlyMap<PeerName, Installation>;

  private constructor(
    installed: ReadonlyMap<PeerName, Installation>,
    private readonly threads: number,
  ) {
    this.#installed = installed;
  }

  static install(cache: string, threads: number): Peers {
    const installed = new Map<PeerName, Installation>([
      [TRANSFORMERS, installTransformers(cache)],
      [LLAMA, installLlama(cache)],
      [GENAI, installGenai(cache)],
    ]);
    for (const [name, installation] of installed) {
      if ("missing" in installation) console.log(`No rows against ${name}: ${installation.missing}`);
    }
    return new Peers(installed, threads);
  }

  /** The specifications of those among `names` that are installed. */
  specsOf(model: BenchModel, names: readonly PeerName[], context: number, sequences = 1): PeerSpec[] {
    return names.flatMap((name) => this.#specOf(name, model, context, sequences) ?? []);
  }

  sessionAlone(model: BenchModel): PeerSpec {
    const settings = this.#settings(model, model.directory, 0, "");
    return { name: "session creation alone", command: process.execPath, args: [script("session-alone"), settings] };
  }

  #specOf(name: PeerName, model: BenchModel, context: number, sequences: number): PeerSpec | undefined {
    const installation = this.#installed.get(name);
    const folder = installation !== undefined && "path" in installation ? installation.path : undefined;
    const node = (file: string, path: string, option: string): PeerSpec => {
      const settings = this.#settings(model, path, context, option, sequences);
      return { name, command: process.execPath, args: [script(file), settings] };
    };
    if (name === ENGINE) return node("engine", model.directory, "");
    if (name === NATIVE || name === NODE) return node("vitrine", model.directory, name);
    if (folder === undefined) return undefined;
    if (name === TRANSFORMERS) return node("transformers", model.directory, folder);
    if (name === LLAMA) return node("llama", model.gguf, folder);
    const settings = this.#settings(model, model.genai, context, "");
    return { name, command: join(folder, "bin", "python"), args: [GENAI_SCRIPT, settings] };
  }

  #settings(model: BenchModel, path: string, context: number, option: string, sequences = 1): string {
    const { vocab } = model.shape;
    const settings: PeerSettings = { model: path, threads: this.threads, vocab, context, option, sequences };
    return JSON.stringify(settings);
  }
}
