import type { GraphProto, NodeProto } from "../onnx_pb.js";
import { SAMPLE_OPERATORS } from "./sample-operators.js";
import { constantTensor, type SampleTensor } from "./sample-tensor.js";

/**
 * Computes values of a graph for an example of its inputs: what masks, positions, scales and shapes are is found out by
 * looking at what they come to, as every exporter, and every version of it, writes them another way.
 */
export class GraphProbe {
  readonly #producers: ReadonlyMap<string, NodeProto>;
  readonly #given: ReadonlyMap<string, SampleTensor | undefined>;
  readonly #outer: GraphProbe | undefined;
  readonly #values = new Map<string, SampleTensor | undefined>();

  private constructor(
    producers: ReadonlyMap<string, NodeProto>,
    given: ReadonlyMap<string, SampleTensor | undefined>,
    outer?: GraphProbe,
  ) {
    this.#producers = producers;
    this.#given = given;
    this.#outer = outer;
  }

  /** A graph with no example yet: only its constants are known. */
  static of(graph: GraphProto): GraphProbe {
    const producers = new Map<string, NodeProto>();
    const given = new Map<string, SampleTensor | undefined>();
    for (const node of graph.node) for (const output of node.output) producers.set(output, node);
    for (const tensor of graph.initializer) given.set(tensor.name, constantTensor(tensor));
    // One of the same name may be fed in place of the weights.
    for (const { name } of graph.input) given.delete(name);
    return new GraphProbe(producers, given);
  }

  /** The graph with more of an example: inputs, or values on the way that could not be computed. */
  given(known: Iterable<readonly [string, SampleTensor]>): GraphProbe {
    // With nothing computed yet there is nothing to share.
    if (this.#values.size === 0) return new GraphProbe(this.#producers, new Map([...this.#given, ...known]));
    return new GraphProbe(this.#producers, new Map(known), this);
  }

  /** Undefined where an operator on the way is not known, or an input was not given. */
  value(name: string): SampleTensor | undefined {
    if (this.#values.has(name)) return this.#values.get(name);
    // Until it is known, so that a loop in a broken graph ends.
    this.#values.set(name, undefined);
    const value = this.#given.get(name) ?? this.#outer?.value(name) ?? this.#compute(name);
    this.#values.set(name, value);
    return value;
  }

  #compute(name: string): SampleTensor | undefined {
    const node = this.#producers.get(name);
    if (node === undefined || node.domain !== "" || node.output[0] !== name) return undefined;
    const operator = SAMPLE_OPERATORS[node.opType];
    if (operator === undefined) return undefined;
    const inputs: SampleTensor[] = [];
    for (const input of node.input) {
      const value = input === "" ? undefined : this.value(input);
      if (value === undefined) return undefined;
      inputs.push(value);
    }
    return operator(inputs, node);
  }
}
