import type { TopLogits } from "../../engine/runner.js";

/** Euclidean. */
export function distance(a: Float32Array, b: Float32Array): number {
  let squares = 0;
  for (const [id, value] of a.entries()) squares += (value - (b[id] as number)) ** 2;
  return Math.sqrt(squares);
}

/** Distance from logits that all are the mean: what all have in common says nothing about tokens. */
export function spread(logits: Float32Array): number {
  let sum = 0;
  for (const value of logits) sum += value;
  const mean = sum / logits.length;
  let squares = 0;
  for (const value of logits) squares += (value - mean) ** 2;
  return Math.sqrt(squares);
}

export const isSound = (logits: Float32Array): boolean => logits.every(Number.isFinite);

/**
 * Share of the likeliest tokens that are not: another logit than the row has, a token twice, out of order, or fewer than
 * are likelier. Of equals any will do. Both come from the same memory, so nothing is rounded.
 */
export function candidatesError({ ids, logits }: TopLogits, row: Float32Array): number {
  const chosen = new Set(ids);
  const last = logits.at(-1) ?? Number.POSITIVE_INFINITY;
  let wrong = ids.length - chosen.size;
  for (const [place, id] of ids.entries()) {
    const logit = logits[place] as number;
    if (row[id] !== logit || logit > (logits[place - 1] ?? Number.POSITIVE_INFINITY)) wrong++;
  }
  for (const [id, value] of row.entries()) if (!(value <= last) && !chosen.has(id)) wrong++;
  return ids.length === 0 ? 1 : Math.min(1, wrong / ids.length);
}
