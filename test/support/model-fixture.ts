import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after } from "mocha";

/** Folders removed when the test file's suite ends. */
export function temporaryFolders(): () => string {
  const made: string[] = [];
  after(() => {
    for (const folder of made) rmSync(folder, { recursive: true, force: true });
  });
  return () => {
    const folder = mkdtempSync(join(tmpdir(), "vitrine-"));
    made.push(folder);
    return folder;
  };
}

/** Writes files under a folder; objects become JSON. */
export function writeFiles(folder: string, files: Readonly<Record<string, string | Uint8Array | object>>): string {
  for (const [name, content] of Object.entries(files)) {
    const path = join(folder, name);
    mkdirSync(dirname(path), { recursive: true });
    const raw = typeof content === "string" || content instanceof Uint8Array;
    writeFileSync(path, raw ? content : JSON.stringify(content));
  }
  return folder;
}

/** A config.json that fits the graphs of onnx-builder's defaults. */
export const DECODER_CONFIG = {
  model_type: "llama",
  vocab_size: 32,
  max_position_embeddings: 64,
  hidden_size: 16,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  eos_token_id: 1,
};
