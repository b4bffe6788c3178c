/** The versions of transformers.js that are instrumented, installed once, and for each a model in the layout it reads. */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type Installation, installOnce, installTransformers, run } from "../bench/install.js";
import { requirePart } from "./requirements.js";
import { PACKAGE_ROOT } from "./vitrine-process.js";

export interface TransformersPackage {
  readonly name: string;
  readonly version: string;
  /** Writes the model `model` below `folder`. */
  readonly model: (folder: string) => void;
  /** Options of the library for loading it. */
  readonly options: Readonly<Record<string, unknown>>;
  /** Bundles beside the entry point that programs load by their paths. */
  readonly files: readonly (readonly ["mjs" | "cjs", string])[];
}

const CACHE = join(tmpdir(), "vitrine-packages");
const tiny = (folder: string) => cpSync(join(PACKAGE_ROOT, "models/tiny"), join(folder, "model"), { recursive: true });

const MINIFIED = [
  ["mjs", "dist/transformers.node.min.mjs"],
  ["cjs", "dist/transformers.node.min.cjs"],
] as const;

export const PACKAGES: readonly TransformersPackage[] = [
  { name: "@xenova/transformers", version: "2.17.2", model: oldDecoder, options: { quantized: false }, files: [] },
  { name: "@huggingface/transformers", version: "3.8.1", model: tiny, options: { dtype: "q4" }, files: [] },
  { name: "@huggingface/transformers", version: "4.3.1", model: tiny, options: { dtype: "fp32" }, files: MINIFIED },
];

/** The folder it is installed in. Skips the test where it cannot be had. */
export function installed(context: Mocha.Context, { name, version }: TransformersPackage): string {
  const found = version.startsWith("4.")
    ? installTransformers(join(tmpdir(), "vitrine-bench"))
    : install(name, version);
  const why = "missing" in found ? found.missing : "";
  requirePart(context, { name: `${name} ${version}`, available: why === "", why, mandatoryInCi: true });
  return "path" in found ? found.path : "";
}

/** Install scripts fetch from outside the registry; of what they fetch, only the sharp of old versions is needed to load. */
function install(name: string, version: string): Installation {
  const folder = join(CACHE, `transformers-${version}`);
  return installOnce(folder, `${name}@${version}`, () => {
    const manifest = { private: true, dependencies: { [name]: version }, overrides: { sharp: "0.34.5" } };
    writeFileSync(join(folder, "package.json"), JSON.stringify(manifest));
    run("npm", ["install", "--prefix", folder, "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]);
  });
}

const MERGED = "onnx/decoder_model_merged.onnx";

/**
 * Version 2 works with onnxruntime-node 1.14, which has not the attention of the shipped model, so a decoder as Optimum
 * exported it at the time. It says to be of a later format than it needs, and merges of tokens were written in one string.
 */
function oldDecoder(folder: string): void {
  const model = join(folder, "model");
  cpSync(join(PACKAGE_ROOT, "test/fixtures/parity/gpt2/optimum-legacy"), model, { recursive: true });
  const tokenizer = JSON.parse(readFileSync(join(model, "tokenizer.json"), "utf8")) as {
    model: { merges: (string | string[])[] };
  };
  tokenizer.model.merges = tokenizer.model.merges.map((merge) => (Array.isArray(merge) ? merge.join(" ") : merge));
  const graph = readFileSync(join(model, MERGED));
  // Field 1 of the file, its format's version.
  graph[1] = 8;
  mkdirSync(dirname(join(model, MERGED)), { recursive: true });
  writeFileSync(join(model, MERGED), graph);
  writeFileSync(join(model, "tokenizer.json"), JSON.stringify(tokenizer));
}
