/**
 * A decoder with random weights, as onnxruntime-genai's builder and the hub's files have it: MatMulNBits in blocks of 32
 * with scales of the activations' precision or plain MatMul, GroupQueryAttention with rotary embedding, an unquantized
 * embedding beside the output head, logits for every position, external data.
 */
import { writeFileSync } from "node:fs";
import { basename } from "node:path";
import { ELEMENT, message } from "../../support/onnx-builder.js";
import { type DecoderShape, type Projection, projectionsOf } from "./decoder-shape.js";
import { type FloatPrecision, stored } from "./half-precision.js";
import { CONTRIB, type Element, elementOf, encodeNode, type GraphNode, valueInfo } from "./onnx-messages.js";
import { scaleOf, uniformScaleOf, WeightFile } from "./random-weights.js";

const BLOCK = 32;
const EPSILON = 1e-6;

/**
 * `int4` with single precision is the hub's q4, with half precision its q4f16; `float` with half precision its fp16, with
 * bfloat16 what onnxruntime-genai's builder makes, whose logits are float32 then.
 */
export interface DecoderFormat {
  readonly matrices: "int4" | "float";
  /** Of activations, norms, scales, embedding and KV cache. */
  readonly type: FloatPrecision;
}

const Q4: DecoderFormat = { matrices: "int4", type: "float32" };

/** Writes `path` as q4, and the same graph with accuracy level 4 on every MatMulNBits to `level4Path`, over one data file. */
export async function writeQ4Decoder(shape: DecoderShape, path: string, level4Path: string): Promise<void> {
  const builder = await writeOnnxDecoder(shape, Q4, path);
  writeFileSync(level4Path, builder.model(4));
}

/** Writes `path` and its data file. */
export async function writeOnnxDecoder(
  shape: DecoderShape,
  format: DecoderFormat,
  path: string,
): Promise<GraphBuilder> {
  const weights = new WeightFile(`${path}_data`);
  const builder = new GraphBuilder(shape, format, weights, `${basename(path)}_data`);
  await builder.build();
  await weights.close();
  writeFileSync(path, builder.model(undefined));
  return builder;
}

class GraphBuilder {
  readonly #nodes: GraphNode[] = [];
  readonly #tensors: Uint8Array[] = [];

  constructor(
    private readonly shape: DecoderShape,
    private readonly format: DecoderFormat,
    private readonly weights: WeightFile,
    private readonly location: string,
  ) {}

  async build(): Promise<void> {
    const { hidden, layers, vocab } = this.shape;
    await this.floats("embedding", [vocab, hidden], 0, 1);
    this.node("Gather", ["embedding", "input_ids"], ["embedded"]);
    this.lengths();
    await this.rotary();
    await this.floats("layers.0.input_norm", [hidden], 1, 0.1);
    this.node("SimplifiedLayerNormalization", ["embedded", "layers.0.input_norm"], ["normed"], {
      axis: -1,
      epsilon: EPSILON,
    });
    let stream = { residual: "embedded", normed: "normed" };
    for (let layer = 0; layer < layers; layer++) stream = await this.layer(layer, stream);
    const widens = this.logitsType !== this.format.type;
    await this.product("head", stream.normed, widens ? "scores" : "logits", hidden, vocab);
    if (widens) this.node("Cast", ["scores"], ["logits"], { to: ELEMENT[this.logitsType] });
  }

  private get logitsType(): FloatPrecision {
    const { type } = this.format;
    return type === "bfloat16" ? "float32" : type;
  }

  model(accuracyLevel: number | undefined): Uint8Array {
    const graph = message(
      ...this.#nodes.map((node) => [1, encodeNode(node, accuracyLevel)] as const),
      [2, "decoder"],
      ...this.#tensors.map((tensor) => [5, tensor] as const),
      ...this.inputs().map((value) => [11, value] as const),
      ...this.outputs().map((value) => [12, value] as const),
    );
    const opset = (domain: string, version: number) => message([1, domain], [2, version]);
    return message([1, 8], [2, "vitrine-bench"], [7, graph], [8, opset("", 17)], [8, opset(CONTRIB, 1)]);
  }

  /** What GroupQueryAttention takes as `seqlens_k` (a row's length less one) and `total_sequence_length`. */
  private lengths(): void {
    this.integers("one", [1], [1]);
    this.integers("second", [1], []);
    this.node("ReduceSum", ["attention_mask", "one"], ["mask_sums"], { keepdims: 0 });
    this.node("Sub", ["mask_sums", "one"], ["mask_sums_less"]);
    this.node("Cast", ["mask_sums_less"], ["row_lengths"], { to: ELEMENT.int32 });
    this.node("Shape", ["attention_mask"], ["mask_shape"]);
    this.node("Gather", ["mask_shape", "second"], ["mask_width"], { axis: 0 });
    this.node("Cast", ["mask_width"], ["longest_length"], { to: ELEMENT.int32 });
  }

  private async rotary(): Promise<void> {
    const { context, headDim, ropeTheta } = this.shape;
    const half = headDim / 2;
    const angle = (at: number) => Math.floor(at / half) / ropeTheta ** ((at % half) / half);
    for (const [name, wave] of [
      ["cos_cache", Math.cos],
      ["sin_cache", Math.sin],
    ] as const) {
      const values = Float32Array.from({ length: context * half }, (_, at) => wave(angle(at)));
      const { type } = this.format;
      await this.external(name, type, [context, half], () => this.weights.write(stored(values, type)));
    }
  }

  private async layer(layer: number, { residual, normed }: Stream): Promise<Stream> {
    const at = (name: string) => `layers.${layer}.${name}`;
    const projections = Object.fromEntries(projectionsOf(this.shape).map((p) => [p.name, p])) as Record<
      Projection["name"],
      Projection
    >;
    const project = async (name: Projection["name"], from: string) => this.project(at(name), from, projections[name]);
    const query = await project("q", normed);
    const key = await project("k", normed);
    const value = await project("v", normed);
    const past = [`past_key_values.${layer}.key`, `past_key_values.${layer}.value`];
    this.node(
      "GroupQueryAttention",
      [query, key, value, ...past, "row_lengths", "longest_length", "cos_cache", "sin_cache"],
      [at("attention"), `present.${layer}.key`, `present.${layer}.value`],
      {
        num_heads: this.shape.heads,
        kv_num_heads: this.shape.kvHeads,
        do_rotary: 1,
        rotary_interleaved: 0,
        scale: this.shape.headDim ** -0.5,
      },
    );
    const attended = await this.addAndNorm(at("attention_out"), residual, await project("o", at("attention")));
    const gate = await project("gate", attended.normed);
    const up = await project("up", attended.normed);
    this.node("Sigmoid", [gate], [at("sigmoid")]);
    this.node("Mul", [gate, at("sigmoid")], [at("silu")]);
    this.node("Mul", [at("silu"), up], [at("gated")]);
    return this.addAndNorm(at("out"), attended.residual, await project("down", at("gated")));
  }

  private async addAndNorm(name: string, residual: string, added: string): Promise<Stream> {
    await this.floats(`${name}.norm`, [this.shape.hidden], 1, 0.1);
    const outputs = [`${name}.normed`, "", "", `${name}.residual`];
    this.node("SkipSimplifiedLayerNormalization", [residual, added, `${name}.norm`], outputs, { epsilon: EPSILON });
    return { normed: `${name}.normed`, residual: `${name}.residual` };
  }

  private async project(name: string, from: string, { inputs, outputs, bias }: Projection): Promise<string> {
    await this.product(name, from, `${name}.product`, inputs, outputs);
    if (!bias) return `${name}.product`;
    await this.floats(`${name}.bias`, [outputs], 0, 0.1);
    this.node("Add", [`${name}.product`, `${name}.bias`], [`${name}.biased`]);
    return `${name}.biased`;
  }

  private async product(name: string, from: string, to: string, inputs: number, outputs: number): Promise<void> {
    if (this.format.matrices === "float") {
      await this.floats(`${name}.weight`, [inputs, outputs], 0, uniformScaleOf(inputs));
      this.node("MatMul", [from, `${name}.weight`], [to]);
      return;
    }
    const blocks = Math.ceil(inputs / BLOCK);
    const dims = [outputs, blocks, BLOCK / 2];
    await this.external(`${name}.weight`, "uint8", dims, () => this.weights.nibbles((outputs * blocks * BLOCK) / 2));
    const scale = scaleOf(inputs);
    await this.floats(`${name}.scales`, [outputs * blocks], scale, scale / 4);
    this.node("MatMulNBits", [from, `${name}.weight`, `${name}.scales`], [to], {
      K: inputs,
      N: outputs,
      bits: 4,
      block_size: BLOCK,
    });
  }

  private node(operator: string, inputs: string[], outputs: string[], attributes: Record<string, number> = {}): void {
    this.#nodes.push({ operator, inputs, outputs, attributes });
  }

  private floats(name: string, dims: number[], center: number, scale: number): Promise<void> {
    const count = dims.reduce((product, size) => product * size, 1);
    const { type } = this.format;
    return this.external(name, type, dims, () => this.weights.floats(count, center, scale, type));
  }

  private integers(name: string, values: number[], dims: number[]): void {
    const data = new Uint8Array(BigInt64Array.from(values, BigInt).buffer);
    this.#tensors.push(message(...dims.map((size) => [1, size] as const), [2, ELEMENT.int64], [8, name], [9, data]));
  }

  private async external(name: string, type: Element, dims: number[], write: () => Promise<void>): Promise<void> {
    // Page-aligned, so that ONNX Runtime maps it.
    await this.weights.align(4096);
    const offset = this.weights.bytes;
    await write();
    const place = { location: this.location, offset: `${offset}`, length: `${this.weights.bytes - offset}` };
    this.#tensors.push(
      message(
        ...dims.map((size) => [1, size] as const),
        [2, elementOf(type)],
        [8, name],
        ...Object.entries(place).map(([key, value]) => [13, message([1, key], [2, value])] as const),
        [14, 1],
      ),
    );
  }

  private inputs(): Uint8Array[] {
    return [
      valueInfo("input_ids", "int64", ["batch_size", "sequence_length"]),
      valueInfo("attention_mask", "int64", ["batch_size", "total_sequence_length"]),
      ...this.cache("past_key_values", "past_sequence_length"),
    ];
  }

  private outputs(): Uint8Array[] {
    const logits = valueInfo("logits", this.logitsType, ["batch_size", "sequence_length", this.shape.vocab]);
    return [logits, ...this.cache("present", "total_sequence_length")];
  }

  private cache(prefix: string, length: string): Uint8Array[] {
    const { layers, kvHeads, headDim } = this.shape;
    const of = (layer: number, kind: string) =>
      valueInfo(`${prefix}.${layer}.${kind}`, this.format.type, ["batch_size", kvHeads, length, headDim]);
    return Array.from({ length: layers }, (_, layer) => [of(layer, "key"), of(layer, "value")]).flat();
  }
}

interface Stream {
  readonly residual: string;
  readonly normed: string;
}
