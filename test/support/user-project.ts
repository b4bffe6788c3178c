/** Folders as users of the libraries have them: their packages, installed on demand and once, and their program. */
import { copyFileSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { installOnce, run } from "../bench/install.js";
import { requirePart } from "./requirements.js";
import { program } from "./traced-program.js";
import { PACKAGE_ROOT } from "./vitrine-process.js";

const CACHE = join(tmpdir(), "vitrine-packages");

export interface UserProject {
  readonly name: string;
  /** Of test/programs. */
  readonly program: string;
  /** Exact versions. */
  readonly dependencies: Readonly<Record<string, string>>;
  readonly overrides?: Readonly<Record<string, string>>;
}

/** The program's path in a folder of its own. Skips the test where its packages cannot be had. */
export function userProject(context: Mocha.Context, { program: file, ...manifest }: UserProject): string {
  const folder = join(CACHE, manifest.name);
  const list = Object.entries({ ...manifest.dependencies, ...manifest.overrides }).map((entry) => entry.join("@"));
  const found = installOnce(folder, list.join(" "), () => {
    writeFileSync(join(folder, "package.json"), JSON.stringify({ ...manifest, private: true }));
    // Install scripts fetch from outside the registry; nothing here needs them.
    run("npm", ["install", "--prefix", folder, "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]);
  });
  const why = "missing" in found ? found.missing : "";
  requirePart(context, { name: `the packages of ${manifest.name}`, available: why === "", why, mandatoryInCi: true });
  const copy = join(folder, file.replace(/.*\//, ""));
  copyFileSync(program(file), copy);
  return copy;
}

const ONNXRUNTIME = "1.30.0";

export const STORIES: UserProject = {
  name: "stories",
  program: "models/stories.mjs",
  dependencies: { "@huggingface/transformers": "4.3.1", express: "5.3.0" },
};

export const REVIEWS: UserProject = {
  name: "reviews",
  program: "models/reviews.cjs",
  dependencies: { "@huggingface/transformers": "3.8.1", fastify: "5.12.8" },
};

/** Its own onnxruntime-node 1.14 and sharp 0.32 bring binaries by install scripts only. */
export const SCRIPT: UserProject = {
  name: "script",
  program: "models/script.mjs",
  dependencies: { "@xenova/transformers": "2.17.2" },
  overrides: { "onnxruntime-node": ONNXRUNTIME, sharp: "0.34.5" },
};

/** The shipped model below `folder`, with its tokenizer's merges as texts: the form of them that @xenova/transformers reads. */
export function olderModels(folder: string): string {
  const [tiny, older] = [join(PACKAGE_ROOT, "models", "tiny"), join(folder, "tiny")];
  mkdirSync(older, { recursive: true });
  for (const name of ["config.json", "generation_config.json", "tokenizer_config.json", "onnx"]) {
    symlinkSync(join(tiny, name), join(older, name));
  }
  const tokenizer = JSON.parse(readFileSync(join(tiny, "tokenizer.json"), "utf8")) as {
    readonly model: { merges: readonly (string | readonly string[])[] };
  };
  tokenizer.model.merges = tokenizer.model.merges.map((merge) => (typeof merge === "string" ? merge : merge.join(" ")));
  writeFileSync(join(older, "tokenizer.json"), JSON.stringify(tokenizer));
  return folder;
}
