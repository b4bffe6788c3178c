/** The same shape for llama.cpp: a GGUF v3 file, every matrix Q4_0, random weights, a byte-level vocabulary. */
import type { DecoderShape } from "./decoder-shape.js";
import { projectionsOf } from "./decoder-shape.js";
import { scaleOf, WeightFile } from "./random-weights.js";

const ALIGNMENT = 32;
const F32 = 0;
const Q4_0 = 2;

interface Tensor {
  readonly name: string;
  /** Fastest first, as GGUF has them. */
  readonly dims: readonly number[];
  readonly type: typeof F32 | typeof Q4_0;
  readonly center: number;
  readonly scale: number;
}

/** Norms and biases stay fp32. The output head is the embedding. */
function tensorsOf(shape: DecoderShape): Tensor[] {
  const { hidden, layers, vocab } = shape;
  const norm = (name: string): Tensor => ({ name, dims: [hidden], type: F32, center: 1, scale: 0.1 });
  const matrix = (name: string, inputs: number, outputs: number): Tensor => {
    return { name, dims: [inputs, outputs], type: Q4_0, center: 0, scale: scaleOf(inputs) };
  };
  const names = {
    q: "attn_q",
    k: "attn_k",
    v: "attn_v",
    o: "attn_output",
    gate: "ffn_gate",
    up: "ffn_up",
    down: "ffn_down",
  };
  const layer = (at: number): Tensor[] => [
    norm(`blk.${at}.attn_norm.weight`),
    norm(`blk.${at}.ffn_norm.weight`),
    ...projectionsOf(shape).flatMap(({ name, inputs, outputs, bias }): Tensor[] => {
      const own = `blk.${at}.${names[name]}`;
      const biases: Tensor[] = bias ? [{ name: `${own}.bias`, dims: [outputs], type: F32, center: 0, scale: 0.1 }] : [];
      return [matrix(`${own}.weight`, inputs, outputs), ...biases];
    }),
  ];
  return [
    matrix("token_embd.weight", hidden, vocab),
    ...Array.from({ length: layers }, (_, at) => layer(at)).flat(),
    norm("output_norm.weight"),
  ];
}

function bytesOf({ dims, type }: Tensor): number {
  const size = dims.reduce((product, length) => product * length, 1);
  return type === F32 ? size * 4 : (size / 32) * 18;
}

export async function writeGgufDecoder(shape: DecoderShape, path: string): Promise<void> {
  const tensors = tensorsOf(shape);
  const file = new WeightFile(path);
  await file.write(header(shape, tensors));
  for (const tensor of tensors) {
    await file.align(ALIGNMENT);
    const size = tensor.dims.reduce((product, length) => product * length, 1);
    if (tensor.type === F32) await file.floats(size, tensor.center, tensor.scale);
    else await file.blocksQ4(size / 32, tensor.scale);
  }
  await file.close();
}

function header(shape: DecoderShape, tensors: readonly Tensor[]): Uint8Array {
  const values = metadata(shape);
  let offset = 0;
  const infos = tensors.map((tensor) => {
    const at = offset;
    offset += Math.ceil(bytesOf(tensor) / ALIGNMENT) * ALIGNMENT;
    const { name, dims, type } = tensor;
    return Buffer.concat([text(name), u32(dims.length), ...dims.map(u64), u32(type), u64(at)]);
  });
  return Buffer.concat([Buffer.from("GGUF"), u32(3), u64(tensors.length), u64(values.length), ...values, ...infos]);
}

function metadata(shape: DecoderShape): Buffer[] {
  const architecture = shape.attentionBias ? "qwen2" : "llama";
  const own = (name: string) => `${architecture}.${name}`;
  const tokens = vocabulary(shape.vocab);
  return [
    entry("general.architecture", string(architecture)),
    entry("general.alignment", integer(ALIGNMENT)),
    entry(own("context_length"), integer(shape.context)),
    entry(own("embedding_length"), integer(shape.hidden)),
    entry(own("block_count"), integer(shape.layers)),
    entry(own("feed_forward_length"), integer(shape.feedForward)),
    entry(own("attention.head_count"), integer(shape.heads)),
    entry(own("attention.head_count_kv"), integer(shape.kvHeads)),
    entry(own("attention.key_length"), integer(shape.headDim)),
    entry(own("attention.value_length"), integer(shape.headDim)),
    entry(own("rope.dimension_count"), integer(shape.headDim)),
    entry(own("attention.layer_norm_rms_epsilon"), float(1e-6)),
    entry(own("rope.freq_base"), float(shape.ropeTheta)),
    entry(own("vocab_size"), integer(shape.vocab)),
    entry("tokenizer.ggml.model", string("gpt2")),
    entry("tokenizer.ggml.pre", string("qwen2")),
    entry("tokenizer.ggml.tokens", array(STRING, tokens.map(text))),
    entry(
      "tokenizer.ggml.token_type",
      array(
        INT32,
        tokens.map(() => u32(1)),
      ),
    ),
    entry("tokenizer.ggml.merges", array(STRING, [text("a b")])),
    entry("tokenizer.ggml.bos_token_id", integer(shape.vocab - 1)),
    entry("tokenizer.ggml.eos_token_id", integer(shape.vocab - 1)),
  ];
}

/** GPT-2's 256 byte tokens (printable bytes stand for themselves, the others for code points from 256), then names. */
function vocabulary(size: number): string[] {
  const printable = (byte: number) => (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
  let next = 256;
  const bytes = Array.from({ length: 256 }, (_, byte) => String.fromCodePoint(printable(byte) ? byte : next++));
  return [...bytes, "ab", ...Array.from({ length: size - 257 }, (_, index) => `<token ${index}>`)];
}

const UINT32 = 4;
const INT32 = 5;
const FLOAT32 = 6;
const STRING = 8;
const ARRAY = 9;

const entry = (key: string, value: Buffer) => Buffer.concat([text(key), value]);
const integer = (value: number) => Buffer.concat([u32(UINT32), u32(value)]);
const string = (value: string) => Buffer.concat([u32(STRING), text(value)]);
const array = (type: number, items: Buffer[]) => Buffer.concat([u32(ARRAY), u32(type), u64(items.length), ...items]);
const text = (value: string) => Buffer.concat([u64(Buffer.byteLength(value)), Buffer.from(value)]);

function float(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return Buffer.concat([u32(FLOAT32), bytes]);
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}
