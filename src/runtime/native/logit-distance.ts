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
