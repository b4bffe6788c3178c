/** How one distribution of the next token differs from another. */

/** Natural logarithms of the probabilities that logits stand for. */
export function logProbabilities(logits: Float32Array): Float32Array {
  const largest = logits.reduce((most, logit) => Math.max(most, logit), Number.NEGATIVE_INFINITY);
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - largest);
  const shift = largest + Math.log(sum);
  return logits.map((logit) => logit - shift);
}

/** Kullback-Leibler divergence in nats of `other` from `reference`, both log-probabilities: 0 where they are equal. */
export function divergence(reference: Float32Array, other: Float32Array): number {
  let sum = 0;
  for (let id = 0; id < reference.length; id++) {
    const own = reference[id] as number;
    sum += Math.exp(own) * (own - (other[id] as number));
  }
  return sum;
}

export function largestDifference(a: Float32Array, b: Float32Array): number {
  let most = 0;
  for (let id = 0; id < a.length; id++) most = Math.max(most, Math.abs((a[id] as number) - (b[id] as number)));
  return most;
}

export const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;
