import type { ProbeAt, SampleLengths } from "../probe/decoder-samples.js";
import type { GraphProbe } from "../probe/graph-probe.js";
import { broadcastIndex, type SampleTensor } from "../probe/sample-tensor.js";
import type { Mask } from "./plain-attention.js";

/** What masked scores are at most: from there the softmax is exactly 0. Old exports take -10,000, new ones the least. */
const MASKED = -1e4;
/** The first prompt, what follows it, and one token after another. */
const LENGTHS: readonly SampleLengths[] = [
  { past: 0, fed: 1 },
  { past: 0, fed: 5 },
  { past: 1, fed: 1 },
  { past: 3, fed: 4 },
  { past: 6, fed: 1 },
];

/**
 * What masks let through: each position and those before it (`window` undefined), or the last `window` of these. A text
 * where they are anything else. Found by looking at every position of the longest sequence, and at lengths around the
 * window's, not by how the graph computes them. Of a graph that is made for a few tokens in a run, no more are fed.
 */
export function readWindow(
  masks: readonly Mask[],
  probeAt: ProbeAt,
  { contextLength, mostFed }: { readonly contextLength: number; readonly mostFed: number },
): { readonly window: number | undefined } | string {
  const longest = { past: contextLength - 1, fed: 1 };
  const last = visible(masks, probeAt, longest);
  if (last === undefined) return "its mask cannot be computed from lengths";
  const seen = last.filter((one) => one === 1).length;
  const window = seen === contextLength ? undefined : seen;
  const around = [-1, 0, 1].map((more) => ({ past: Math.max(0, (window ?? 8) - 2), fed: 3 + more }));
  for (const lengths of [longest, ...LENGTHS, ...around]) {
    if (lengths.past + lengths.fed > contextLength || lengths.fed > mostFed) continue;
    const found = lengths === longest ? last : visible(masks, probeAt, lengths);
    if (found === undefined) return "its mask cannot be computed from lengths";
    if (!isCausal(found, lengths, window)) return "its mask is neither causal nor a sliding window";
  }
  return { window };
}

/** `[fed, past + fed]`, ones where attention sees; undefined where a mask is no mask. */
function visible(masks: readonly Mask[], probeAt: ProbeAt, lengths: SampleLengths): Uint8Array | undefined {
  const { past, fed } = lengths;
  const probe = probeAt(lengths);
  const shape = [1, 1, fed, past + fed];
  const result = new Uint8Array(fed * (past + fed)).fill(1);
  for (const mask of masks) {
    const read = reader(mask, probe, shape);
    if (read === undefined) return undefined;
    for (let place = 0; place < result.length; place++) {
      const seen = read(place);
      if (seen === undefined) return undefined;
      if (!seen) result[place] = 0;
    }
  }
  return result;
}

/** Whether a place is seen; undefined where it is something between. */
function reader(mask: Mask, probe: GraphProbe, shape: readonly number[]) {
  const numbers = (name: string): ((place: number) => number) | undefined => {
    const tensor = probe.value(name);
    if (tensor?.data === undefined || !fits(tensor, shape)) return undefined;
    const { data } = tensor;
    const index = broadcastIndex(tensor.shape, shape);
    return (place) => data[index(place)] as number;
  };
  if (mask.kind === "bias") {
    const bias = numbers(mask.value);
    return bias && ((place: number) => (bias(place) === 0 ? true : bias(place) <= MASKED ? false : undefined));
  }
  const keep = numbers(mask.keep);
  const masked = numbers(mask.masked);
  if (keep === undefined || masked === undefined) return undefined;
  return (place: number) =>
    (keep(place) !== 0) === mask.keepWhere ? true : masked(place) <= MASKED ? false : undefined;
}

/** Broadcast it must be as it is: the same for every head, and as long as the scores. */
function fits({ shape }: SampleTensor, to: readonly number[]): boolean {
  const leading = [...new Array<number>(Math.max(0, to.length - shape.length)).fill(1), ...shape];
  return leading.length === to.length && leading.every((size, axis) => size === 1 || size === to[axis]);
}

function isCausal(seen: Uint8Array, { past, fed }: SampleLengths, window: number | undefined): boolean {
  const total = past + fed;
  return seen.every((one, place) => {
    const row = past + Math.floor(place / total);
    const column = place % total;
    return (one === 1) === (column <= row && (window === undefined || column > row - window));
  });
}
