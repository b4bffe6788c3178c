import { attributeOf, makeNode } from "../node-attributes.js";
import type { GraphProto } from "../onnx_pb.js";
import { withFields } from "../rewrite.js";

const CACHE_BRANCH = "use_cache_branch";

/**
 * The branch with past of a merged decoder (old Optimum: one `If` around two whole decoders, one for no past), as the
 * graph; undefined where it is none. Whether it is right for no past too is for its reader to find out.
 */
export function branchWithPast(graph: GraphProto): GraphProto | undefined {
  const [merged, another] = graph.node.filter(({ opType }) => opType === "If");
  if (merged === undefined || another !== undefined || merged.input[0] !== CACHE_BRANCH) return undefined;
  const branch = attributeOf(merged, "then_branch")?.g;
  if (branch === undefined || branch.output.length !== merged.output.length) return undefined;
  const made = new Set(branch.node.flatMap((node) => node.output));
  // Values of the branch can have the names of the graph's outputs already.
  const renamed = branch.output.flatMap(({ name }, at) => {
    const output = merged.output[at] ?? "";
    return name === output ? [] : [makeNode("Identity", [name], [output])];
  });
  if (renamed.some(({ output }) => made.has(output[0] ?? ""))) return undefined;
  return withFields(graph, {
    node: graph.node.flatMap((node) => (node === merged ? [...branch.node, ...renamed] : [node])),
    initializer: [...graph.initializer, ...branch.initializer],
    input: graph.input.filter(({ name }) => name !== CACHE_BRANCH),
  });
}
