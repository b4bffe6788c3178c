import { closeSync, existsSync, openSync, readdirSync, readSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { VitrineError } from "../errors.js";
import type { DeviceChoice, Dtype } from "../protocol.js";
import { LFS_MARK, lfsPointer } from "./json-file.js";

/** One ONNX graph on disk. */
export interface GraphFile {
  readonly path: string;
  readonly dtype: Dtype;
  /** Bytes of the graph and of its external data. */
  readonly weightBytes: number;
}

/** The hub's file names (transformers.js conventions); the first that exists is taken. */
const FILE_NAMES: Readonly<Record<Dtype, readonly string[]>> = {
  fp32: ["model.onnx"],
  fp16: ["model_fp16.onnx"],
  q4: ["model_q4.onnx"],
  q4f16: ["model_q4f16.onnx"],
  int8: ["model_int8.onnx", "model_quantized.onnx"],
};

/**
 * What `auto` takes, best first. Decoding is bound by the bytes read a token, so 4-bit weights win on both.
 * On the CPU fp32 comes before int8, whose dynamic activations cost quality, and the half-precision files come
 * last, as most CPU kernels only convert them. CUDA wants half precision, and has no kernels for dynamic int8.
 */
const AUTO_ORDER: Readonly<Record<DeviceChoice["provider"], readonly Dtype[]>> = {
  cpu: ["q4", "fp32", "int8", "q4f16", "fp16"],
  cuda: ["q4f16", "fp16", "q4", "fp32", "int8"],
};

/**
 * Finds the graph of a model directory, in `onnx/` or at the top (as exporters write it), and checks what can be
 * checked without parsing it. Throws `model_missing` (listing what there is), `model_invalid`, `model_unsupported`.
 */
export function findGraphFile(directory: string, dtype: Dtype | "auto", provider: DeviceChoice["provider"]): GraphFile {
  const wanted = dtype === "auto" ? AUTO_ORDER[provider] : [dtype];
  for (const candidate of wanted) {
    const path = FILE_NAMES[candidate].map((name) => locate(directory, name)).find((found) => found !== undefined);
    if (path !== undefined) return { path, dtype: candidate, weightBytes: checkedSize(path) };
  }
  throw nothingFound(directory, dtype);
}

function locate(directory: string, name: string): string | undefined {
  return [join(directory, "onnx", name), join(directory, name)].find((path) => existsSync(path));
}

function nothingFound(directory: string, dtype: Dtype | "auto"): VitrineError {
  const graphs = [join(directory, "onnx"), directory].flatMap((folder) =>
    listFiles(folder).filter((name) => name.endsWith(".onnx")),
  );
  const legacy = graphs.find((name) => name.startsWith("decoder_model") || name.startsWith("encoder_model"));
  if (legacy !== undefined) {
    return new VitrineError(
      "model_unsupported",
      `${directory} has the layout of transformers.js 2 (${legacy}); take a repository with onnx/model*.onnx, ` +
        "such as those of onnx-community, or export the model again.",
    );
  }
  const known = (Object.keys(FILE_NAMES) as Dtype[]).filter((name) => FILE_NAMES[name].some((f) => graphs.includes(f)));
  const there = known.length > 0 ? `It has: ${known.join(", ")}.` : "It has no graph in onnx/ that vitrine knows.";
  const wanted = dtype === "auto" ? "no model*.onnx" : `no ${FILE_NAMES[dtype].join(" or ")}`;
  return new VitrineError("model_missing", `${directory} has ${wanted}. ${there}`, { param: "dtype" });
}

/** The graph and every file named after it (`model_q4.onnx_data`, `…_data_1`, `model.onnx.data`). */
function checkedSize(path: string): number {
  const folder = dirname(path);
  const files = listFiles(folder).filter((name) => name.startsWith(basename(path)));
  return files.reduce((total, name) => total + checkedFileSize(join(folder, name)), 0);
}

function checkedFileSize(path: string): number {
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
  return existsSync(folder) ? readdirSync(folder) : [];
}
