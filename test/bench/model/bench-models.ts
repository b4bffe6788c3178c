/** The models of the runtime's benchmark, written once into the cache folder and kept for the next run. */
import { copyFileSync, existsSync, linkSync, mkdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type DecoderShape, HALF_BILLION, readShape, weightsPerToken } from "./decoder-shape.js";
import { writeGgufDecoder } from "./gguf-decoder.js";
import { writeOnnxDecoder, writeQ4Decoder } from "./onnx-decoder.js";

/** The same model for every peer. */
export interface BenchModel {
  readonly name: string;
  readonly shape: DecoderShape;
  /** Directory in Hugging Face's layout, with a q4 graph. */
  readonly directory: string;
  /** onnxruntime-genai's configuration of the same graph. */
  readonly genai: string;
  readonly gguf: string;
  /** Bytes of weights that a decode step reads from the ONNX file: 4 bits, and a scale of 4 bytes for each 32. */
  readonly bytesPerToken: number;
}

/** Goes up with every change of what is written. */
const VERSION = 2;
const HALF_VERSION = 3;

/** Weights of 4 bits and their fp32 scales. */
const BYTES_PER_WEIGHT = 0.5 + 4 / 32;

/** The half-billion shape, as the hub has it and with accuracy level 4 in the file. */
export async function halfBillion(cache: string): Promise<{ plain: BenchModel; level4: BenchModel }> {
  const root = join(cache, `half-billion-${VERSION}`);
  const model = (name: string): BenchModel => ({
    name: "0.5B",
    shape: HALF_BILLION,
    directory: join(root, name),
    genai: join(root, name),
    gguf: join(root, "model.gguf"),
    bytesPerToken: weightsPerToken(HALF_BILLION) * BYTES_PER_WEIGHT,
  });
  const models = { plain: model("plain"), level4: model("level4") };
  await once(root, (folder) => writeHalfBillion(folder));
  return models;
}

async function writeHalfBillion(root: string): Promise<void> {
  const graph = (name: string) => join(root, name, "onnx", "model_q4.onnx");
  for (const name of ["plain", "level4"]) {
    mkdirSync(join(root, name, "onnx"), { recursive: true });
    writeJson(join(root, name, "config.json"), configOf(HALF_BILLION));
    writeJson(join(root, name, "genai_config.json"), genaiConfigOf(HALF_BILLION, "onnx/model_q4.onnx"));
  }
  await writeQ4Decoder(HALF_BILLION, graph("plain"), graph("level4"));
  linkSync(`${graph("plain")}_data`, `${graph("level4")}_data`);
  await writeGgufDecoder(HALF_BILLION, join(root, "model.gguf"));
}

export type HalfDtype = "fp16" | "q4f16" | "bf16";

/** A directory with a shape's fp16, q4f16 and bf16 graphs, and a tokenizer whose tokens are all text. */
export async function halfPrecision(cache: string, shape: DecoderShape): Promise<string> {
  const root = join(cache, `half-precision-${HALF_VERSION}-${shape.layers}x${shape.hidden}`);
  await once(root, async (folder) => {
    mkdirSync(join(folder, "onnx"));
    writeJson(join(folder, "config.json"), configOf(shape));
    writeJson(join(folder, "tokenizer.json"), plainTokenizer(shape.vocab));
    writeJson(join(folder, "tokenizer_config.json"), { tokenizer_class: "PreTrainedTokenizerFast" });
    const half = { type: "float16" } as const;
    await writeOnnxDecoder(shape, { ...half, matrices: "float" }, join(folder, "onnx", "model_fp16.onnx"));
    await writeOnnxDecoder(shape, { ...half, matrices: "int4" }, join(folder, "onnx", "model_q4f16.onnx"));
    const brain = { type: "bfloat16", matrices: "float" } as const;
    await writeOnnxDecoder(shape, brain, join(folder, "onnx", "model_bf16.onnx"));
  });
  return root;
}

/** Bytes of weights that a decode step reads: of q4f16 4 bits, and a scale of 2 bytes for each 32. */
export const halfWeightBytes = (shape: DecoderShape, dtype: HalfDtype): number =>
  weightsPerToken(shape) * (dtype === "q4f16" ? 0.5 + 2 / 32 : 2);

/**
 * The shipped model; llama.cpp gets its shape with random weights. It is small: what the peers need is written each time,
 * so that it is never older than the model. onnxruntime-genai takes no graph from another folder than its own.
 */
export async function shipped(cache: string, directory: string): Promise<BenchModel> {
  const root = join(cache, "tiny");
  const graph = join(directory, "onnx", "model_q4.onnx");
  const shape = readShape(join(directory, "config.json"));
  mkdirSync(root, { recursive: true });
  copyFileSync(graph, join(root, "model_q4.onnx"));
  writeJson(join(root, "genai_config.json"), genaiConfigOf(shape, "model_q4.onnx"));
  await writeGgufDecoder(shape, join(root, "model.gguf"));
  const bytesPerToken = statSync(graph).size;
  return { name: "tiny", shape, directory, genai: root, gguf: join(root, "model.gguf"), bytesPerToken };
}

/** A run that was stopped in the middle leaves nothing that looks complete. */
async function once(folder: string, write: (folder: string) => Promise<void>): Promise<void> {
  if (existsSync(folder)) return;
  process.stderr.write(`Writing ${folder} ...\n`);
  const unfinished = `${folder}.unfinished`;
  rmSync(unfinished, { recursive: true, force: true });
  mkdirSync(unfinished, { recursive: true });
  await write(unfinished);
  renameSync(unfinished, folder);
}

function writeJson(path: string, value: unknown): void {
  writeFileSync(path, `${JSON.stringify(value, null, 2)}\n`);
}

function configOf(shape: DecoderShape): Record<string, unknown> {
  return {
    architectures: ["Qwen2ForCausalLM"],
    model_type: "qwen2",
    hidden_size: shape.hidden,
    intermediate_size: shape.feedForward,
    num_hidden_layers: shape.layers,
    num_attention_heads: shape.heads,
    num_key_value_heads: shape.kvHeads,
    head_dim: shape.headDim,
    max_position_embeddings: shape.context,
    rope_theta: shape.ropeTheta,
    vocab_size: shape.vocab,
    tie_word_embeddings: true,
    eos_token_id: shape.vocab - 1,
    "transformers.js_config": { use_external_data_format: true },
  };
}

function genaiConfigOf(shape: DecoderShape, graph: string): Record<string, unknown> {
  const decoder = {
    filename: graph,
    session_options: { log_id: "onnxruntime-genai", provider_options: [] },
    head_size: shape.headDim,
    hidden_size: shape.hidden,
    num_attention_heads: shape.heads,
    num_hidden_layers: shape.layers,
    num_key_value_heads: shape.kvHeads,
    inputs: {
      input_ids: "input_ids",
      attention_mask: "attention_mask",
      past_key_names: "past_key_values.%d.key",
      past_value_names: "past_key_values.%d.value",
    },
    outputs: { logits: "logits", present_key_names: "present.%d.key", present_value_names: "present.%d.value" },
  };
  return {
    model: {
      type: shape.attentionBias ? "qwen2" : "llama",
      vocab_size: shape.vocab,
      context_length: shape.context,
      // No sequence of the benchmark ends by itself.
      eos_token_id: shape.vocab - 1,
      pad_token_id: shape.vocab - 1,
      bos_token_id: shape.vocab - 1,
      decoder,
    },
    search: { do_sample: false, max_length: shape.context, past_present_share_buffer: true },
  };
}

/** Byte-level BPE without merges: each printable character is a token, and the rest of the vocabulary never comes of text. */
function plainTokenizer(vocab: number): Record<string, unknown> {
  const characters = Array.from({ length: 94 }, (_, index) => String.fromCharCode(33 + index));
  const pieces = ["\u0120", ...characters];
  const all = [...pieces, ...Array.from({ length: vocab - pieces.length }, (_, index) => `\u0120${index}`)];
  return {
    version: "1.0",
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
    post_processor: null,
    decoder: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
    model: { type: "BPE", vocab: Object.fromEntries(all.map((piece, id) => [piece, id])), merges: [] },
  };
}
