import type { GraphProto, NodeProto } from "./onnx_pb.js";

/** The nodes that a graph's outputs need, in their order. */
export function liveNodes({ node: nodes, output }: GraphProto): NodeProto[] {
  const producers = new Map(nodes.flatMap((node) => node.output.map((name) => [name, node] as const)));
  const live = new Set<NodeProto>();
  const wanted = output.map(({ name }) => name);
  for (let name = wanted.pop(); name !== undefined; name = wanted.pop()) {
    const node = producers.get(name);
    if (node === undefined || live.has(node)) continue;
    live.add(node);
    wanted.push(...valuesReadBy(node));
  }
  return nodes.filter((node) => live.has(node));
}

/** What a node reads, in its branches too. */
export function valuesReadBy(node: NodeProto): readonly string[] {
  if (!node.attribute.some(({ g, graphs }) => g !== undefined || graphs.length > 0)) return node.input;
  const branches = node.attribute.flatMap(({ g, graphs }) => (g === undefined ? graphs : [g, ...graphs]));
  const inner = branches.flatMap((branch) => [
    ...branch.node.flatMap(valuesReadBy),
    ...branch.output.map(({ name }) => name),
  ]);
  return [...node.input, ...inner];
}
