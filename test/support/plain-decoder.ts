import { create } from "@bufbuild/protobuf";
import { makeNode } from "../../src/runtime/graph/node-attributes.js";
import {
  type ModelProto,
  type NodeProto,
  type TensorProto,
  TensorProto_DataType,
  TensorProtoSchema,
} from "../../src/runtime/graph/onnx_pb.js";
import { model, value, weights } from "./onnx-graph.js";

export interface PlainDecoderSpec {
  readonly heads?: number;
  readonly kvHeads?: number;
  /** Nodes that make `bias`, added to scores, from `rows` and `columns`, the positions that see and are seen. */
  readonly mask?: readonly NodeProto[];
  /** Constants that the mask needs. */
  readonly constants?: Readonly<Record<string, number>>;
  readonly softcap?: number;
  /** Nodes after all others, and what they make that is an output. */
  readonly more?: readonly NodeProto[];
  readonly outputs?: readonly string[];
  /** Of the embeddings; counted from the cache where it is not given. */
  readonly positionInput?: boolean;
  readonly withoutMask?: boolean;
  readonly opset?: number;
}

const HEAD_DIM = 8;

/** Scores of what comes later are taken away; `window` takes those of what is that far back, too. */
export function causalMask(window?: number): { mask: NodeProto[]; constants: Record<string, number> } {
  const near = window === undefined ? "causal" : "both";
  const more = [
    makeNode("Sub", ["rows", "window"], ["first"]),
    makeNode("Greater", ["columns", "first"], ["near"]),
    makeNode("And", ["causal", "near"], ["both"]),
  ];
  return {
    mask: [
      makeNode("LessOrEqual", ["columns", "rows"], ["causal"]),
      ...(window === undefined ? [] : more),
      makeNode("Where", [near, "zero", "masked"], ["bias"]),
    ],
    constants: window === undefined ? {} : { window },
  };
}

/** One layer of attention as exporters write it out, with learned positions: nothing that would run, but all of its structure. */
export function plainDecoder(spec: PlainDecoderSpec = {}): ModelProto {
  const { heads = 2, kvHeads = heads, mask = causalMask().mask, softcap, more = [], outputs = [] } = spec;
  const past = ["past_key_values.0.key", "past_key_values.0.value"];
  const present = ["present.0.key", "present.0.value"];
  const cache = ["batch", kvHeads, "past", HEAD_DIM];
  const inputs = [
    "input_ids",
    ...(spec.withoutMask ? [] : ["attention_mask"]),
    ...(spec.positionInput ? ["position_ids"] : []),
  ];
  const nodes = [
    ...positions(spec.positionInput ?? false),
    ...mask,
    makeNode("Gather", ["embeddings", "input_ids"], ["words"]),
    makeNode("Gather", ["places", "positions"], ["placed"]),
    makeNode("Add", ["words", "placed"], ["hidden"]),
    ...projection("query", heads),
    ...projection("key", kvHeads),
    ...projection("value", kvHeads),
    makeNode("Concat", [past[0] as string, "key"], [present[0] as string], { axis: -2n }),
    makeNode("Concat", [past[1] as string, "value"], [present[1] as string], { axis: -2n }),
    ...repeated(present[0] as string, "keys"),
    ...repeated(present[1] as string, "values"),
    makeNode("Transpose", ["keys"], ["turned"], { perm: [0n, 1n, 3n, 2n] }),
    makeNode("Mul", ["query", "root"], ["scaled_query"]),
    makeNode("Mul", ["turned", "root"], ["scaled_keys"]),
    makeNode("MatMul", ["scaled_query", "scaled_keys"], [softcap === undefined ? "scores" : "uncapped"]),
    ...(softcap === undefined ? [] : capped()),
    makeNode("Add", ["scores", "bias"], ["masked_scores"]),
    makeNode("Softmax", ["masked_scores"], ["attention"], { axis: -1n }),
    makeNode("MatMul", ["attention", "values"], ["seen"]),
    makeNode("Transpose", ["seen"], ["seen_rows"], { perm: [0n, 2n, 1n, 3n] }),
    makeNode("Reshape", ["seen_rows", "flat"], ["flat_rows"]),
    makeNode("MatMul", ["flat_rows", "head"], ["logits"]),
    ...more,
  ];
  const numbers = { zero: 0, masked: -3.4e38, root: 0.5, cap: softcap ?? 1, ...spec.constants };
  return model(
    {
      node: nodes,
      initializer: [
        ...["embeddings", "places", "head", "query_weight", "key_weight", "value_weight"].map((name) =>
          weights(name, 16, 16),
        ),
        ...Object.entries(numbers).map(([name, number]) => float(name, number)),
        ...Object.entries({ none: 0, one: 1, two: 2 }).map(([name, number]) => ids(name, [number])),
        ids("first_axis", [0]),
        ids("last_axis", [1]),
        ids("group_axis", [2]),
        ids("flat", [0, 0, -1]),
        ids("query_shape", [0, 0, heads, HEAD_DIM]),
        ids("key_shape", [0, 0, kvHeads, HEAD_DIM]),
        ids("value_shape", [0, 0, kvHeads, HEAD_DIM]),
        ids("group_shape", [1, 1, heads / kvHeads, 1, 1]),
        ids("head_shape", [0, heads, -1, HEAD_DIM]),
      ],
      input: [...inputs.map((name) => value(name, ["batch", "fed"])), ...past.map((name) => value(name, cache))],
      output: ["logits", ...present, ...outputs].map((name) => value(name)),
    },
    spec.opset,
  );
}

function positions(fromInput: boolean): NodeProto[] {
  return [
    makeNode("Shape", ["past_key_values.0.key"], ["cache_shape"]),
    makeNode("Gather", ["cache_shape", "two"], ["past_list"]),
    makeNode("Squeeze", ["past_list", "first_axis"], ["past_length"]),
    makeNode("Shape", ["input_ids"], ["ids_shape"]),
    makeNode("Gather", ["ids_shape", "one"], ["fed_list"]),
    makeNode("Squeeze", ["fed_list", "first_axis"], ["fed_length"]),
    makeNode("Add", ["past_length", "fed_length"], ["total"]),
    makeNode("Squeeze", ["one", "first_axis"], ["step"]),
    makeNode("Squeeze", ["none", "first_axis"], ["start"]),
    makeNode("Range", ["past_length", "total", "step"], ["range"]),
    makeNode("Unsqueeze", ["range", "last_axis"], ["rows"]),
    makeNode("Range", ["start", "total", "step"], ["columns"]),
    fromInput
      ? makeNode("Identity", ["position_ids"], ["positions"])
      : makeNode("Unsqueeze", ["range", "first_axis"], ["positions"]),
  ];
}

function projection(name: string, heads: number): NodeProto[] {
  const made = `${name}_of_${heads}`;
  return [
    makeNode("MatMul", ["hidden", `${name}_weight`], [made]),
    makeNode("Reshape", [made, `${name}_shape`], [`${name}_rows`]),
    makeNode("Transpose", [`${name}_rows`], [name], { perm: [0n, 2n, 1n, 3n] }),
  ];
}

function repeated(present: string, name: string): NodeProto[] {
  return [
    makeNode("Unsqueeze", [present, "group_axis"], [`${name}_apart`]),
    makeNode("Expand", [`${name}_apart`, "group_shape"], [`${name}_many`]),
    makeNode("Reshape", [`${name}_many`, "head_shape"], [name]),
  ];
}

function capped(): NodeProto[] {
  return [
    makeNode("Div", ["uncapped", "cap"], ["small"]),
    makeNode("Tanh", ["small"], ["bent"]),
    makeNode("Mul", ["bent", "cap"], ["scores"]),
  ];
}

export function ids(name: string, values: readonly number[]): TensorProto {
  const rawData = new Uint8Array(BigInt64Array.from(values, BigInt).buffer);
  return create(TensorProtoSchema, {
    name,
    dataType: TensorProto_DataType.INT64,
    dims: [BigInt(values.length)],
    rawData,
  });
}

function float(name: string, number: number): TensorProto {
  const rawData = new Uint8Array(Float32Array.of(number).buffer);
  return create(TensorProtoSchema, { name, dataType: TensorProto_DataType.FLOAT, rawData });
}
