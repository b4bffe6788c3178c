/** The half-billion model of the runtime's benchmark as a service wants it: with a tokenizer of as many words as it has logits. */
import { copyFileSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { resolveModelDirectory } from "../../../src/runtime/files/model-directory.js";
import { halfBillion } from "../model/bench-models.js";

interface TokenizerFile {
  readonly model: { readonly vocab: Record<string, number> };
}

/** Its directory. Writes the model into `cache` at the first call, which takes a minute. */
export async function largeModel(cache: string): Promise<string> {
  const { level4 } = await halfBillion(cache);
  const directory = join(cache, "half-billion-service");
  const shipped = resolveModelDirectory("tiny");
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory);
  for (const name of ["onnx", "config.json"]) symlinkSync(join(level4.directory, name), join(directory, name));
  copyFileSync(join(shipped, "tokenizer_config.json"), join(directory, "tokenizer_config.json"));
  const tokenizer = JSON.parse(readFileSync(join(shipped, "tokenizer.json"), "utf8")) as TokenizerFile;
  const { vocab } = tokenizer.model;
  // Random weights choose any of them, and what is no token has no text to stream.
  for (let id = Object.keys(vocab).length; id < level4.shape.vocab; id++) vocab[`w${id}`] = id;
  writeFileSync(join(directory, "tokenizer.json"), JSON.stringify(tokenizer));
  return directory;
}
