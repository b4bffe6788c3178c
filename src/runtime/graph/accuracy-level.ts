import { create } from "@bufbuild/protobuf";
import { AttributeProto_AttributeType, AttributeProtoSchema, type GraphProto, type NodeProto } from "./onnx_pb.js";
import { type Rewrite, withFields } from "./rewrite.js";

/** `accuracy_level` of MatMulNBits (ONNX Runtime's contrib operators): activations become int8, a scale a block. */
const INT8_ACTIVATIONS = 4n;
const UNSET = 0n;

/**
 * Sets `accuracy_level` 4 on 4-bit MatMulNBits that leave it open, as most exports do: the activations of a product
 * become int8, block by block, which llama.cpp does too and which is several times faster on a CPU.
 */
export const setAccuracyLevel: Rewrite = (model) => {
  const products = { all: 0, changed: 0 };
  const graph = model.graph && inGraph(model.graph, products);
  if (graph === undefined || products.changed === 0) {
    const why = products.all === 0 ? "there are none" : "the file says otherwise";
    return { model, applied: false, note: `Accuracy level of 4-bit products: left as it is; ${why}.` };
  }
  const note = `Accuracy level of 4-bit products: 4 (int8 activations) on ${products.changed} of ${products.all}.`;
  return { model: withFields(model, { graph }), applied: true, note };
};

function inGraph(graph: GraphProto, products: { all: number; changed: number }): GraphProto {
  return withFields(graph, {
    node: graph.node.map((node) => {
      if (isFourBitProduct(node)) {
        products.all++;
        if ((integer(node, "accuracy_level") ?? UNSET) !== UNSET) return node;
        products.changed++;
        return withAccuracyLevel(node);
      }
      return node.attribute.some(({ g }) => g !== undefined) ? inBranches(node, products) : node;
    }),
  });
}

/** The bodies of If and Loop. */
function inBranches(node: NodeProto, products: { all: number; changed: number }): NodeProto {
  return withFields(node, {
    attribute: node.attribute.map((attribute) =>
      attribute.g === undefined ? attribute : withFields(attribute, { g: inGraph(attribute.g, products) }),
    ),
  });
}

export function isFourBitProduct(node: NodeProto): boolean {
  return node.opType === "MatMulNBits" && node.domain === "com.microsoft" && (integer(node, "bits") ?? 4n) === 4n;
}

function integer(node: NodeProto, name: string): bigint | undefined {
  return node.attribute.find((attribute) => attribute.name === name)?.i;
}

function withAccuracyLevel(node: NodeProto): NodeProto {
  const level = create(AttributeProtoSchema, {
    name: "accuracy_level",
    type: AttributeProto_AttributeType.INT,
    i: INT8_ACTIVATIONS,
  });
  return withFields(node, { attribute: [...node.attribute.filter(({ name }) => name !== level.name), level] });
}
