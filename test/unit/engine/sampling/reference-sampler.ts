import type { SamplingParams } from "../../../../src/protocol.js";

interface Candidate {
  readonly id: number;
  readonly probability: number;
}

/** Logits after the penalties, written as the definitions read. */
export function penalized(
  logits: Float32Array,
  prompt: readonly number[],
  output: readonly number[],
  params: SamplingParams,
): Float32Array {
  return logits.map((raw, id) => {
    let logit = raw;
    if (prompt.includes(id) || output.includes(id)) {
      logit = logit > 0 ? logit / params.repetitionPenalty : logit * params.repetitionPenalty;
    }
    const count = output.filter((token) => token === id).length;
    logit -= params.frequencyPenalty * count;
    if (count > 0) logit -= params.presencePenalty;
    return logit;
  });
}

/**
 * The distribution that the next token is drawn from, by ascending id: every cut by a full sort and a fresh
 * normalisation, in the order the sampler documents. For temperatures above 0.
 */
export function distribution(logits: Float32Array, params: SamplingParams): Candidate[] {
  let candidates = normalized(
    [...logits].map((logit, id) => ({ id, probability: logit / params.temperature })),
    true,
  );
  const ranked = (): Candidate[] => [...candidates].sort((a, b) => b.probability - a.probability || a.id - b.id);
  if (params.topK > 0 && params.topK < candidates.length) {
    const least = ranked()[params.topK - 1]?.probability ?? 0;
    candidates = normalized(candidates.filter(({ probability }) => probability >= least));
  }
  if (params.topP < 1) {
    let mass = 0;
    const nucleus = new Set<number>();
    for (const { id, probability } of ranked()) {
      if (mass >= params.topP) break;
      nucleus.add(id);
      mass += probability;
    }
    candidates = normalized(candidates.filter(({ id }) => nucleus.has(id)));
  }
  const most = Math.max(...candidates.map(({ probability }) => probability));
  candidates = normalized(candidates.filter(({ probability }) => probability >= params.minP * most));
  return params.typicalP < 1 ? typical(candidates, params.typicalP) : candidates;
}

function typical(candidates: readonly Candidate[], mass: number): Candidate[] {
  const entropy = candidates.reduce((sum, { probability: p }) => sum - (p === 0 ? 0 : p * Math.log(p)), 0);
  const distance = ({ probability }: Candidate): number => Math.abs(-Math.log(probability) - entropy);
  let reached = 0;
  let farthest = 0;
  for (const candidate of [...candidates].sort((a, b) => distance(a) - distance(b))) {
    if (reached >= mass) break;
    reached += candidate.probability;
    farthest = distance(candidate);
  }
  return normalized(candidates.filter((candidate) => distance(candidate) <= farthest + 1e-12));
}

/** Natural logarithms of the softmax. */
export function logSoftmax(logits: Float32Array): number[] {
  const max = Math.max(...logits);
  const logOfSum = max + Math.log([...logits].reduce((sum, logit) => sum + Math.exp(logit - max), 0));
  return [...logits].map((logit) => logit - logOfSum);
}

function normalized(candidates: readonly Candidate[], fromLogits = false): Candidate[] {
  const max = Math.max(...candidates.map(({ probability }) => probability));
  const weights = candidates.map(({ probability }) => (fromLogits ? Math.exp(probability - max) : probability));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return candidates.map(({ id }, index) => ({ id, probability: (weights[index] ?? 0) / total }));
}
