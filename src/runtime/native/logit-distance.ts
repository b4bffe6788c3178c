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
 * Another text counts for at least this share of the logits' own spread. In a model that hardly looks back (one of random
 * weights) nothing smaller can be told from rounding, or would matter.
 */
const LEAST_CONTRAST = 0.2;

/** What logits are to be. */
export interface Expected {
  readonly logits: Float32Array;
  /** Distance to logits that are as wrong as a lost cache makes them. */
  readonly contrast: number;
}

/** With logits of other texts, of which the nearest is wrong enough. */
export function expect(logits: Float32Array, others: readonly Float32Array[]): Expected {
  const nearest = Math.min(...others.map((other) => distance(logits, other)));
  return { logits, contrast: Math.max(nearest, LEAST_CONTRAST * spread(logits)) };
}

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
