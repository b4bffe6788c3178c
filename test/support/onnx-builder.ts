/**
 * Tiny decoder graphs for tests: a minimal protobuf writer and, on it, a model with embeddings, GroupQueryAttention
 * layers and an output head, with seeded random weights. Field numbers are those of onnx.proto (ONNX IR 8).
 */

type Field = readonly [number, number | bigint | string | Uint8Array];

/** One protobuf message: numbers become varints, everything else is length-delimited. */
export function message(...fields: readonly Field[]): Uint8Array {
  return Buffer.concat(fields.map(([number, value]) => encodeField(number, value)));
}

function encodeField(number: number, value: Field[1]): Uint8Array {
  if (typeof value === "number" || typeof value === "bigint") {
    return Buffer.concat([varint(BigInt(number << 3)), varint(BigInt(value))]);
  }
  const bytes = typeof value === "string" ? Buffer.from(value) : value;
  return Buffer.concat([varint(BigInt((number << 3) | 2)), varint(BigInt(bytes.length)), bytes]);
}

function varint(value: bigint): Uint8Array {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, value);
  for (; rest >= 0x80n; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  bytes.push(Number(rest));
  return Uint8Array.from(bytes);
}

export const ELEMENT = { float32: 1, int32: 6, int64: 7, bool: 9, float16: 10, bfloat16: 16 } as const;
export type Element = keyof typeof ELEMENT;
type FloatElement = "float32" | "float16" | "bfloat16";

export interface ValueSpec {
  readonly name: string;
  readonly type: Element;
  readonly shape: readonly (number | string)[];
}

function valueInfo({ name, type, shape }: ValueSpec): Uint8Array {
  const dimensions = shape.map((d): Field => [1, message(typeof d === "number" ? [1, d] : [2, d])]);
  const tensor = message([1, ELEMENT[type]], [2, message(...dimensions)]);
  return message([1, name], [2, message([1, tensor])]);
}

interface Attribute {
  readonly name: string;
  readonly int: number;
}

function node(op: string, inputs: readonly string[], outputs: readonly string[], more: NodeExtras = {}): Uint8Array {
  const attributes = (more.attributes ?? []).map(({ name, int }): Field => [5, message([1, name], [3, int], [20, 2])]);
  return message(
    ...inputs.map((name): Field => [1, name]),
    ...outputs.map((name): Field => [2, name]),
    [3, outputs[0] ?? op],
    [4, op],
    ...attributes,
    ...(more.domain === undefined ? [] : [[7, more.domain] as const]),
  );
}

interface NodeExtras {
  readonly domain?: string;
  readonly attributes?: readonly Attribute[];
}

export interface DecoderSpec {
  readonly vocab?: number;
  readonly heads?: number;
  /** KV heads of each layer; its length is the number of layers. */
  readonly kvHeads?: readonly number[];
  /** At least 8, a multiple of 8. */
  readonly headDim?: number;
  readonly context?: number;
  /** Type of weights and KV cache. */
  readonly type?: FloatElement;
  /** Type of the logits, when not that of the weights. */
  readonly logitsType?: FloatElement;
  readonly idType?: "int64" | "int32";
  readonly positionIds?: boolean;
  readonly logitsToKeep?: "num_logits_to_keep" | "logits_to_keep";
  /** Computes logits for the last position alone, and says so in the output's shape. */
  readonly lastLogits?: boolean;
  readonly extraInputs?: readonly ValueSpec[];
  /** Leaves KV dimensions and vocabulary open, as some exporters do. */
  readonly symbolicShapes?: boolean;
  /** Puts the embeddings into a file of this name beside the graph. */
  readonly externalData?: string;
  /** Puts the output head into another one. */
  readonly externalHead?: string;
}

export interface BuiltModel {
  readonly graph: Uint8Array;
  /** The embeddings' external file, when asked for. */
  readonly external: Uint8Array;
  /** External files by name. */
  readonly files: Readonly<Record<string, Uint8Array>>;
}

/** Builds a decoder with past and present that ONNX Runtime's CPU provider runs. */
export function buildDecoder(spec: DecoderSpec = {}): BuiltModel {
  return new DecoderBuilder(spec).build();
}

const DOMAIN = "com.microsoft";

class DecoderBuilder {
  private readonly nodes: Uint8Array[] = [];
  private readonly tensors: Uint8Array[] = [];
  private readonly inputs: ValueSpec[] = [];
  private readonly outputs: ValueSpec[] = [];
  private readonly random = seeded(7);
  private readonly files: Record<string, Uint8Array> = {};
  private readonly vocab: number;
  private readonly heads: number;
  private readonly headDim: number;
  private readonly type: FloatElement;

  constructor(private readonly spec: DecoderSpec) {
    this.vocab = spec.vocab ?? 32;
    this.heads = spec.heads ?? 2;
    this.headDim = spec.headDim ?? 8;
    this.type = spec.type ?? "float32";
  }

  build(): BuiltModel {
    const { spec } = this;
    const ids = spec.idType ?? "int64";
    const width = this.heads * this.headDim;
    this.inputs.push({ name: "input_ids", type: ids, shape: ["batch_size", "sequence_length"] });
    this.inputs.push({ name: "attention_mask", type: ids, shape: ["batch_size", "total_sequence_length"] });
    this.weights("embed", [this.vocab, width], spec.externalData);
    this.op("Gather", ["embed", "input_ids"], "x0");
    let x = this.addPositions("x0", width, ids);
    this.lengths(ids);
    (spec.kvHeads ?? [1, 1]).forEach((kvHeads, layer) => {
      x = this.layer(layer, x, width, kvHeads);
    });
    this.head(x, width);
    this.inputs.push(...(spec.extraInputs ?? []));
    return {
      graph: this.model(),
      external: this.files[spec.externalData ?? ""] ?? new Uint8Array(0),
      files: this.files,
    };
  }

  private addPositions(x: string, width: number, ids: "int64" | "int32"): string {
    if (!this.spec.positionIds) return x;
    this.inputs.push({ name: "position_ids", type: ids, shape: ["batch_size", "sequence_length"] });
    this.weights("positions", [this.spec.context ?? 64, width]);
    this.op("Gather", ["positions", "position_ids"], "position");
    this.op("Add", [x, "position"], "x_positioned");
    return "x_positioned";
  }

  /** `seqlens_k` (length - 1 of each row) and `total_sequence_length`, as GroupQueryAttention wants them. */
  private lengths(ids: "int64" | "int32"): void {
    this.integers("one", [1n], [1]);
    this.integers("first", [0n], []);
    this.op("Cast", ["attention_mask"], "mask64", [{ name: "to", int: ELEMENT.int64 }]);
    this.op("ReduceSum", [ids === "int64" ? "attention_mask" : "mask64", "one"], "lengths", [
      { name: "keepdims", int: 0 },
    ]);
    this.op("Sub", ["lengths", "one"], "lengths_less");
    this.op("Cast", ["lengths_less"], "lengths_of_mask", [{ name: "to", int: ELEMENT.int32 }]);
    this.op("Shape", ["attention_mask"], "mask_shape");
    this.integers("last", [1n], []);
    this.op("Gather", ["mask_shape", "last"], "total64");
    this.op("Cast", ["total64"], "total", [{ name: "to", int: ELEMENT.int32 }]);
  }

  private layer(index: number, x: string, width: number, kvHeads: number): string {
    const open = this.spec.symbolicShapes ?? false;
    const shape = (positions: string) => [
      "batch_size",
      open ? "kv_heads" : kvHeads,
      positions,
      open ? "head_dim" : this.headDim,
    ];
    for (const kind of ["key", "value"]) {
      this.inputs.push({ name: `past_key_values.${index}.${kind}`, type: this.type, shape: shape("past_length") });
      this.outputs.push({ name: `present.${index}.${kind}`, type: this.type, shape: shape("total_length") });
    }
    const projections: [string, number][] = [
      ["q", width],
      ["k", kvHeads * this.headDim],
      ["v", kvHeads * this.headDim],
    ];
    for (const [name, columns] of projections) {
      this.weights(`w${name}${index}`, [width, columns]);
      this.op("MatMul", [x, `w${name}${index}`], `${name}${index}`);
    }
    const past = [`past_key_values.${index}.key`, `past_key_values.${index}.value`];
    this.nodes.push(
      node(
        "GroupQueryAttention",
        [`q${index}`, `k${index}`, `v${index}`, ...past, "lengths_of_mask", "total"],
        [`attention${index}`, `present.${index}.key`, `present.${index}.value`],
        {
          domain: DOMAIN,
          attributes: [
            { name: "num_heads", int: this.heads },
            { name: "kv_num_heads", int: kvHeads },
          ],
        },
      ),
    );
    this.op("Add", [x, `attention${index}`], `x_out${index}`);
    return `x_out${index}`;
  }

  private head(x: string, width: number): void {
    const type = this.spec.logitsType ?? this.type;
    let hidden = x;
    if (this.spec.lastLogits) {
      this.integers("from", [-1n], [1]);
      this.integers("to", [2n ** 62n], [1]);
      this.integers("axis1", [1n], [1]);
      this.op("Slice", [x, "from", "to", "axis1"], "kept");
      hidden = "kept";
    }
    if (this.spec.logitsToKeep) {
      this.inputs.push({ name: this.spec.logitsToKeep, type: "int64", shape: [] });
      this.op("Neg", [this.spec.logitsToKeep], "from0");
      this.integers("axis1", [1n], [1]);
      this.op("Reshape", ["from0", "axis1"], "from");
      this.integers("to", [2n ** 62n], [1]);
      this.op("Slice", [x, "from", "to", "axis1"], "kept");
      hidden = "kept";
    }
    this.weights("w_head", [width, this.vocab], this.spec.externalHead);
    this.op("MatMul", [hidden, "w_head"], "scores");
    this.op("Cast", ["scores"], "logits", [{ name: "to", int: ELEMENT[type] }]);
    const vocab = this.spec.symbolicShapes ? "vocab_size" : this.vocab;
    const positions = this.spec.lastLogits ? 1 : "sequence_length";
    this.outputs.push({ name: "logits", type, shape: ["batch_size", positions, vocab] });
  }

  private op(op: string, inputs: readonly string[], output: string, attributes: readonly Attribute[] = []): void {
    this.nodes.push(node(op, inputs, [output], { attributes }));
  }

  private integers(name: string, values: readonly bigint[], dims: readonly number[]): void {
    const data = new Uint8Array(BigInt64Array.from(values).buffer);
    this.tensors.push(message(...dims.map((d): Field => [1, d]), [2, ELEMENT.int64], [8, name], [9, data]));
  }

  private weights(name: string, dims: readonly number[], file?: string): void {
    const size = dims.reduce((product, d) => product * d, 1);
    const values = Float32Array.from({ length: size }, () => this.random() * 2 - 1);
    const data = new Uint8Array(WEIGHTS[this.type](values).buffer);
    const head: Field[] = [...dims.map((d): Field => [1, d]), [2, ELEMENT[this.type]], [8, name]];
    if (file === undefined) {
      this.tensors.push(message(...head, [9, data]));
      return;
    }
    this.files[file] = data;
    const entries = { location: file, offset: "0", length: String(data.length) };
    const external = Object.entries(entries).map(([key, value]): Field => [13, message([1, key], [2, value])]);
    this.tensors.push(message(...head, ...external, [14, 1]));
  }

  private model(): Uint8Array {
    const graph = message(
      ...this.nodes.map((bytes): Field => [1, bytes]),
      [2, "decoder"],
      ...this.tensors.map((bytes): Field => [5, bytes]),
      ...this.inputs.map((value): Field => [11, valueInfo(value)]),
      ...this.outputs.map((value): Field => [12, valueInfo(value)]),
    );
    const opset = (domain: string, version: number) => message([1, domain], [2, version]);
    return message([1, 8], [2, "vitrine-test"], [7, graph], [8, opset("", 17)], [8, opset(DOMAIN, 1)]);
  }
}

const WEIGHTS: Readonly<Record<FloatElement, (values: Float32Array<ArrayBuffer>) => ArrayBufferView<ArrayBuffer>>> = {
  float32: (values) => values,
  float16: (values) => Uint16Array.from(values, toHalfBits),
  // Its upper half: rounded toward zero.
  bfloat16: (values) => Uint16Array.from(new Uint32Array(values.buffer), (bits) => bits >>> 16),
};

/** Half-precision bits of a value in (-2, 2), rounded toward zero: exact enough for weights. */
function toHalfBits(value: number): number {
  const sign = value < 0 ? 0x8000 : 0;
  const size = Math.abs(value);
  if (size < 2 ** -14) return sign | Math.floor(size * 2 ** 24);
  const exponent = Math.floor(Math.log2(size));
  return sign | ((exponent + 15) << 10) | Math.floor((size / 2 ** exponent - 1) * 1024);
}

/** Uniform in [0, 1): a 32-bit linear congruential generator (Numerical Recipes). */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
