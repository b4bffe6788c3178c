import type { GraphIndex } from "../graph-index.js";
import { integerOf, integersOf } from "../node-attributes.js";
import type { NodeProto } from "../onnx_pb.js";
import type { GraphProbe } from "../probe/graph-probe.js";
import { scalarOf } from "../probe/sample-tensor.js";

/** One layer's attention, written out: every name is that of a value in the graph. */
export interface PlainAttention {
  /** `[batch, heads, new, headDim]`, rotated and normed where the model does. */
  readonly query: string;
  readonly key: CachedValue;
  readonly value: CachedValue;
  /** Gives `[batch, new, heads, headDim]`. */
  readonly output: NodeProto;
  /** From the softmax back to the product of queries and keys, which is left out. */
  readonly scores: readonly Step[];
  /** What queries and keys are multiplied by before their product. */
  readonly factors: readonly Step[];
}

/** Past and new keys or values of a layer, put together. */
export interface CachedValue {
  readonly past: string;
  /** `[batch, kvHeads, new, headDim]`. */
  readonly fresh: string;
  readonly present: string;
  readonly concat: NodeProto;
  /** `[batch, heads, past + new, headDim]`, where every head is there for a group of queries; else `present`. */
  readonly repeated: string;
}

/** One operator on the way back to something. */
export interface Step {
  readonly node: NodeProto;
  /** Which input leads on. */
  readonly main: number;
}

/** On the way from the softmax back, and from the product of queries and keys back to the latter. */
const SCORE_OPERATORS = new Set(["Add", "Cast", "Div", "Mul", "Tanh", "Where"]);
const CACHE_OPERATORS = new Set(["Cast", "Div", "Expand", "Mul", "Reshape", "Transpose", "Unsqueeze"]);
/** Any input of these may be the one that leads on; of the others it is the first. */
const SYMMETRIC = new Set(["Add", "Mul", "Where"]);

/**
 * Reads the attention that `output`, a transposition, ends, from the graph's structure alone; undefined where it ends
 * none, a text where it is odd.
 */
export function readPlainAttention(output: NodeProto, index: GraphIndex): PlainAttention | string | undefined {
  if (!isTransposition(output, [0, 2, 1, 3])) return undefined;
  const product = index.producer(output.input[0] ?? "");
  if (product === undefined || !isOperator(product, "MatMul")) return undefined;
  const softmax = findSoftmax(product.input[0] ?? "", index);
  if (softmax === undefined) return undefined;
  if (index.reads(product.output[0] ?? "") !== 1) return "what attention gives is read twice";
  if (![-1, 3].includes(integerOf(softmax, "axis") ?? -1)) return "its softmax is not over positions";
  const scores = pathTo("MatMul", softmax.input[0] ?? "", SCORE_OPERATORS, index);
  const end = scores?.at(-1);
  if (scores === undefined || end === undefined) return "its scores are no product of queries and keys";
  const value = readCached(product.input[1] ?? "", index);
  const keys = pathTo("Concat", end.node.input[1] ?? "", CACHE_OPERATORS, index);
  if (value === undefined || keys === undefined) return "its keys or values are not put after those of the past";
  const turn = keys.findIndex(({ node }) => isTransposition(node, [0, 1, 3, 2]));
  const start = keys.findIndex(({ node }, at) => at > turn && !isFactor(node));
  const key = readCached(keys[start]?.node.output[0] ?? "", index);
  if (turn < 0 || key === undefined) return "its keys are not transposed before scores";
  const between = keys.slice(0, start).filter((_, at) => at !== turn);
  if (!between.every(({ node }) => isFactor(node))) return "its keys are changed after the cache in a way not known";
  const [query, beforeQuery] = readQuery(end.node.input[0] ?? "", index);
  const factors = [...between, ...beforeQuery];
  return { query, key, value, output, scores: scores.slice(0, -1), factors };
}

function isTransposition(node: NodeProto, perm: readonly number[]): boolean {
  return isOperator(node, "Transpose") && String(integersOf(node, "perm")) === String(perm);
}

const isOperator = ({ opType, domain }: NodeProto, name: string): boolean => opType === name && domain === "";

const isFactor = ({ opType, domain }: NodeProto): boolean => domain === "" && ["Cast", "Div", "Mul"].includes(opType);

/** Back over casts, and the zeros for rows where everything is masked. */
function findSoftmax(value: string, index: GraphIndex): NodeProto | undefined {
  const node = index.producer(value);
  if (node === undefined || isOperator(node, "Softmax")) return node;
  if (isOperator(node, "Cast") || isOperator(node, "Identity")) return findSoftmax(node.input[0] ?? "", index);
  const [condition = "", , otherwise = ""] = node.input;
  const check = index.producer(condition);
  const isGuard = isOperator(node, "Where") && check?.opType === "IsNaN" && check.input[0] === otherwise;
  return isGuard ? findSoftmax(otherwise, index) : undefined;
}

/** The way back from a value over some operators to the first of another kind, which is the last step. */
function pathTo(
  end: string,
  value: string,
  through: ReadonlySet<string>,
  index: GraphIndex,
): readonly Step[] | undefined {
  const node = index.producer(value);
  if (node === undefined || node.domain !== "") return undefined;
  if (node.opType === end) return [{ node, main: 0 }];
  if (!through.has(node.opType)) return undefined;
  for (const [main, input] of node.input.entries()) {
    if (main > 0 && !SYMMETRIC.has(node.opType)) break;
    const rest = pathTo(end, input, through, index);
    if (rest !== undefined) return [{ node, main }, ...rest];
  }
  return undefined;
}

/** Queries are rotated (an Add or a Concat) or transposed last; products after that are part of the scale. */
function readQuery(start: string, index: GraphIndex): readonly [string, readonly Step[]] {
  const steps: Step[] = [];
  for (let value = start; ; ) {
    const node = index.producer(value);
    if (node === undefined || !isFactor(node)) return [value, steps];
    steps.push({ node, main: 0 });
    value = node.input[0] ?? "";
  }
}

/** Back over the repetition for grouped queries to where past and new ones are put together. */
function readCached(value: string, index: GraphIndex): CachedValue | undefined {
  let present = value;
  const reshape = index.producer(value);
  if (reshape?.opType === "Reshape") {
    const expand = index.producer(reshape.input[0] ?? "");
    const unsqueeze = index.producer(expand?.input[0] ?? "");
    if (expand?.opType !== "Expand" || unsqueeze?.opType !== "Unsqueeze") return undefined;
    present = unsqueeze.input[0] ?? "";
  }
  const concat = index.producer(present);
  if (concat === undefined || !isOperator(concat, "Concat") || concat.input.length !== 2) return undefined;
  if (![2, -2].includes(integerOf(concat, "axis") ?? 0)) return undefined;
  const [past = "", fresh = ""] = concat.input;
  return { past, fresh, present, concat, repeated: value };
}

/** What takes scores away: added to them, or a choice between them and a number. */
export type Mask =
  | { readonly kind: "bias"; readonly value: string }
  | { readonly kind: "choice"; readonly keep: string; readonly masked: string; readonly keepWhere: boolean };

/** What a layer's scores become before the softmax. */
export interface Scores {
  /** What they are multiplied by. */
  readonly scale: number;
  /** They are `softcap * tanh(score / softcap)` where it is not 0. */
  readonly softcap: number;
  readonly masks: readonly Mask[];
}

/** Reads scale, soft cap and masks; `probe` knows the shape of the queries. A text where they are anything else. */
export function readScores({ scores, factors }: PlainAttention, probe: GraphProbe): Scores | string {
  const masks: Mask[] = [];
  let factor = 1;
  let softcap = 0;
  for (const step of scores) {
    const { node } = step;
    if (isFactor(node)) {
      const by = factorOf(step, probe);
      if (by === undefined) return "its scores are scaled by more than one number";
      factor *= by;
    } else if (node.opType === "Tanh") {
      if (softcap !== 0) return "its scores are capped twice";
      softcap = factor;
      factor = 1;
    } else {
      const mask = readMask(step);
      if (mask === undefined) return "its mask is not known";
      if (factor !== 1 || softcap !== 0) return "its scores are scaled after they are masked";
      masks.push(mask);
    }
  }
  const scale = factors.reduce<number | undefined>((product, step) => {
    const by = factorOf(step, probe);
    return product === undefined || by === undefined ? undefined : product * by;
  }, factor);
  if (scale === undefined) return "its queries or keys are scaled by more than one number";
  return { scale: softcap === 0 ? scale : scale * softcap, softcap, masks };
}

/** What a product, quotient or cast multiplies by; undefined where it is not one number. */
function factorOf({ node, main }: Step, probe: GraphProbe): number | undefined {
  if (node.opType === "Cast") return 1;
  const other = scalarOf(probe.value(node.input[1 - main] ?? ""));
  return other !== undefined && node.opType === "Div" ? 1 / other : other;
}

function readMask({ node, main }: Step): Mask | undefined {
  const [first = "", second = "", third = ""] = node.input;
  if (node.opType === "Add") return { kind: "bias", value: main === 0 ? second : first };
  if (node.opType !== "Where" || main === 0) return undefined;
  return { kind: "choice", keep: first, masked: main === 1 ? third : second, keepWhere: main === 1 };
}
