import type { GraphProto, NodeProto } from "./onnx_pb.js";

/** Who makes and who reads each value of a graph. */
export class GraphIndex {
  readonly #producers = new Map<string, NodeProto>();
  readonly #readers = new Map<string, number>();
  readonly #ranks = new Map<string, number>();

  constructor(graph: GraphProto) {
    for (const { name, dims } of graph.initializer) this.#ranks.set(name, dims.length);
    // An input of the same name may be fed in place of the weights.
    for (const { name } of graph.input) this.#ranks.delete(name);
    for (const { name } of graph.output) this.#countRead(name);
    for (const node of graph.node) {
      for (const output of node.output) this.#producers.set(output, node);
      this.#countReads(node);
    }
  }

  producer(value: string): NodeProto | undefined {
    return this.#producers.get(value);
  }

  /** Times that nodes, those in branches too, and the graph's outputs read it. */
  reads(value: string): number {
    return this.#readers.get(value) ?? 0;
  }

  /** Whether a name is used in the graph at all. */
  has(value: string): boolean {
    return this.#producers.has(value) || this.#readers.has(value) || this.#ranks.has(value);
  }

  /** Dimensions of a value that is the same in every run; undefined where it is not, or that is not certain. */
  constantRank(value: string): number | undefined {
    const rank = this.#ranks.get(value);
    if (rank !== undefined) return rank;
    const node = this.#producers.get(value);
    if (node === undefined || node.domain !== "") return undefined;
    if (node.opType === "Constant") return constantRank(node);
    // These keep the rank of their first input.
    if (!RANK_KEEPERS.has(node.opType)) return undefined;
    const ranks = node.input.filter((name) => name !== "").map((name) => this.constantRank(name));
    return ranks.includes(undefined) ? undefined : ranks[0];
  }

  #countReads(node: NodeProto): void {
    for (const name of node.input) this.#countRead(name);
    for (const { g, graphs } of node.attribute) {
      for (const branch of g === undefined ? graphs : [g, ...graphs]) {
        for (const inner of branch.node) this.#countReads(inner);
        // A branch can hand out a value of the graph around it.
        for (const { name } of branch.output) this.#countRead(name);
      }
    }
  }

  #countRead(name: string): void {
    this.#readers.set(name, (this.#readers.get(name) ?? 0) + 1);
  }
}

const RANK_KEEPERS = new Set(["Cast", "DequantizeLinear", "Identity", "Transpose"]);

function constantRank(node: NodeProto): number | undefined {
  const [attribute] = node.attribute;
  if (attribute?.name === "value") return attribute.t?.dims.length;
  if (attribute?.name === "value_float" || attribute?.name === "value_int") return 0;
  return undefined;
}
