import { accessSync, closeSync, constants, existsSync, openSync, readdirSync, readSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { VitrineError } from "../../errors.js";
import type { DeviceChoice, Dtype } from "../../protocol.js";
import { LFS_MARK, lfsPointer, readable } from "./json-file.js";

/** One ONNX graph on disk. */
export interface GraphFile {
  readonly path: string;
  readonly dtype: Dtype;
  /** Bytes of the graph and of its external data. */
  readonly weightBytes: number;
}

/**
 * How the hub's file names end (transformers.js conventions); the first that exists is taken. `model` is today's name;
 * `decoder_model_merged` is that of transformers.js 2 and older Optimum.
 */
const ENDINGS: Readonly<Record<Dtype, readonly string[]>> = {
  fp32: [""],
  fp16: ["_fp16"],
  bf16: ["_bf16"],
  q4: ["_q4"],
  q4f16: ["_q4f16"],
  int8: ["_int8", "_quantized"],
  uint8: ["_uint8"],
  bnb4: ["_bnb4"],
};

function fileNames(dtype: Dtype): string[] {
  return ["model", "decoder_model_merged"].flatMap((stem) => ENDINGS[dtype].map((ending) => `${stem}${ending}.onnx`));
}

/**
 * What `auto` takes, best first. Decoding is bound by the bytes read a token, so 4-bit weights win on both.
 * On the CPU fp32 comes before int8, whose dynamic activations cost quality, and the half-precision files come
 * last, as most CPU kernels only convert them. CUDA wants half precision, and has no kernels for dynamic int8; fp16, which
 * every GPU and both runtimes take, comes before bf16. bnb4 has no fast kernel anywhere. The CPU cannot run bf16 at all:
 * where there is nothing else, its refusal says so.
 */
const AUTO_ORDER: Readonly<Record<DeviceChoice["provider"], readonly Dtype[]>> = {
  cpu: ["q4", "fp32", "int8", "uint8", "q4f16", "fp16", "bnb4", "bf16"],
  cuda: ["q4f16", "fp16", "bf16", "q4", "fp32", "bnb4", "int8", "uint8"],
};

/**
 * Finds the graph of a model directory, in `onnx/` or at the top (as exporters write it), and checks what can be
 * checked without parsing it. Throws `model_missing` (listing what there is), `model_invalid`, `model_unsupported`.
 */
export function findGraphFile(directory: string, dtype: Dtype | "auto", provider: DeviceChoice["provider"]): GraphFile {
  const wanted = dtype === "auto" ? AUTO_ORDER[provider] : [dtype];
  for (const candidate of wanted) {
    const path = pathOf(directory, candidate);
    if (path !== undefined) return { path, dtype: candidate, weightBytes: readable(path, () => checkedSize(path)) };
  }
  throw nothingFound(directory, dtype);
}

/** The types of all of a directory's graphs that have a known name, in the order that `auto` goes by. */
export function dtypesIn(directory: string, provider: DeviceChoice["provider"]): Dtype[] {
  return AUTO_ORDER[provider].filter((dtype) => pathOf(directory, dtype) !== undefined);
}

function pathOf(directory: string, dtype: Dtype): string | undefined {
  return fileNames(dtype)
    .map((name) => locate(directory, name))
    .find((found) => found !== undefined);
}

function locate(directory: string, name: string): string | undefined {
  return [join(directory, "onnx", name), join(directory, name)].find((path) => existsSync(path));
}

function nothingFound(directory: string, dtype: Dtype | "auto"): VitrineError {
  const graphs = [join(directory, "onnx"), directory].flatMap((folder) =>
    listFiles(folder).filter((name) => name.endsWith(".onnx")),
  );
  const split = graphs.find((name) => /^decoder_(with_past_)?model/.test(name));
  if (split !== undefined && !graphs.some((name) => /^(decoder_model_merged|model)/.test(name))) {
    return new VitrineError(
      "model_unsupported",
      `${directory} has prompt and past in two graphs (${split}): export the model again with a current Optimum, which ` +
        "writes one model.onnx, or take a repository of onnx-community.",
    );
  }
  const known = (Object.keys(ENDINGS) as Dtype[]).filter((name) => fileNames(name).some((f) => graphs.includes(f)));
  const there =
    known.length > 0
      ? `It has: ${known.join(", ")}.`
      : graphs.length > 0
        ? `Its graphs have other names (${graphs.slice(0, 5).join(", ")}): rename one to onnx/model.onnx.`
        : "Download one into its folder onnx/, or export the model with Optimum.";
  const wanted =
    dtype === "auto" ? "no model*.onnx" : `no ${ENDINGS[dtype].map((ending) => `model${ending}.onnx`).join(" or ")}`;
  return new VitrineError("model_missing", `${directory} has ${wanted}. ${there}`, { param: "dtype" });
}

/** The graph and every file named after it (`model_q4.onnx_data`, `…_data_1`, `model.onnx.data`). */
function checkedSize(path: string): number {
  const folder = dirname(path);
  const files = listFiles(folder).filter((name) => name.startsWith(basename(path)));
  return files.reduce((total, name) => total + checkedFileSize(join(folder, name)), 0);
}

function checkedFileSize(path: string): number {
  accessSync(path, constants.R_OK);
  const { size } = statSync(path);
  if (size === 0) throw new VitrineError("model_invalid", `${path} is empty; download it again.`);
  if (size < 1024 && readStart(path, LFS_MARK.length) === LFS_MARK) throw lfsPointer(path);
  return size;
}

function readStart(path: string, length: number): string {
  const file = openSync(path, "r");
  try {
    const bytes = Buffer.alloc(length);
    return bytes.toString("latin1", 0, readSync(file, bytes, 0, length, 0));
  } finally {
    closeSync(file);
  }
}

function listFiles(folder: string): string[] {
  return existsSync(folder) ? readable(folder, () => readdirSync(folder)) : [];
}
