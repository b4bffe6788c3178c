import { brokenLogits } from "./broken-logits.js";

/** Index of the largest logit, the first of equals. Throws as `brokenLogits` says. */
export function argMax(logits: Float32Array): number {
  let index = -1;
  let max = Number.NEGATIVE_INFINITY;
  for (let start = 0; start < logits.length; start += 8) {
    if (noneAbove(logits, start, max)) continue;
    for (let id = start; id < Math.min(start + 8, logits.length); id++) {
      const logit = logits[id] as number;
      if (Number.isNaN(logit)) throw brokenLogits("contain NaN");
      if (logit <= max) continue;
      max = logit;
      index = id;
    }
  }
  if (index < 0) throw brokenLogits("are all minus infinity");
  if (max === Number.POSITIVE_INFINITY) throw brokenLogits("contain infinity");
  return index;
}

/** Whether eight logits are all at most `max`; false for NaN, too, and at the end. Written out: a loop takes twice as long. */
function noneAbove(logits: Float32Array, at: number, max: number): boolean {
  return (
    (logits[at] as number) <= max &&
    (logits[at + 1] as number) <= max &&
    (logits[at + 2] as number) <= max &&
    (logits[at + 3] as number) <= max &&
    (logits[at + 4] as number) <= max &&
    (logits[at + 5] as number) <= max &&
    (logits[at + 6] as number) <= max &&
    (logits[at + 7] as number) <= max
  );
}
