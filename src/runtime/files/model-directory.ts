import { existsSync, readdirSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { VitrineError } from "../../errors.js";
import { type ModelConfig, readModelConfig } from "./model-config.js";

/** A model in Hugging Face layout, as onnx-community repositories have it. */
export interface ModelDirectory {
  readonly path: string;
  /** The directory's own name: the id clients use. */
  readonly name: string;
  readonly config: ModelConfig;
}

/** Reads a directory's configuration. Throws `model_missing`, `model_invalid` or `model_unsupported`. */
export function openModelDirectory(path: string): ModelDirectory {
  const absolute = resolve(path);
  if (!existsSync(absolute)) {
    throw new VitrineError("model_missing", `${absolute} does not exist.`, { param: "model" });
  }
  if (!statSync(absolute).isDirectory()) {
    throw new VitrineError(
      "model_invalid",
      `${absolute} is a file; give the model's directory, the one that holds config.json.`,
      { param: "model" },
    );
  }
  if (!existsSync(join(absolute, "config.json"))) {
    throw new VitrineError(
      "model_missing",
      `${absolute} has no config.json: give the directory that holds the model's, or download the model again.`,
      { param: "model" },
    );
  }
  return { path: absolute, name: basename(absolute), config: readModelConfig(absolute) };
}

/**
 * `DIR|NAME` to an absolute directory: a path that exists, else `models/NAME` of this package.
 * Throws `model_missing`, which names the models there are.
 */
export function resolveModelDirectory(dirOrName: string, modelsRoot = join(packageRoot(), "models")): string {
  if (dirOrName !== "" && existsSync(dirOrName)) return resolve(dirOrName);
  const shipped = listModels(modelsRoot);
  if (shipped.includes(dirOrName)) return join(modelsRoot, dirOrName);
  throw new VitrineError(
    "model_missing",
    `There is no directory ${resolve(dirOrName)}, and no shipped model of that name (there are: ${shipped.join(", ") || "none"}).`,
    { param: "model" },
  );
}

function listModels(root: string): string[] {
  if (!existsSync(root)) return [];
  return readdirSync(root).filter((name) => existsSync(join(root, name, "config.json")));
}

/** The nearest folder above this file with a package.json: sources and `dist/` differ in depth. */
function packageRoot(): string {
  const start = dirname(fileURLToPath(import.meta.url));
  for (let folder = start; folder !== dirname(folder); folder = dirname(folder)) {
    if (existsSync(join(folder, "package.json"))) return folder;
  }
  return start;
}
