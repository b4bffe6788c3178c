/**
 * Powers of two by table: a sampler weighs every token of a vocabulary at every step, and `Math.exp` takes twice as long.
 */

/** Steps to an octave: a whole step is looked up, what is left of one is so small that four terms of the series are exact. */
const STEPS = 1024;
const OCTAVES = 1024;
const FRACTIONS = Float64Array.from({ length: STEPS }, (_, step) => 2 ** (step / STEPS));
const POWERS = Float64Array.from({ length: OCTAVES + 1 }, (_, octave) => 2 ** -octave);

/** What a logarithm is multiplied with to be in steps. */
const STEPS_PER_E = STEPS / Math.LN2;

/**
 * e to the power of `steps / STEPS_PER_E`, for `steps` from -1,000,000 to 0. The relative error is below 1e-13. It is 1
 * for 0, and never above it.
 */
export function weigh(steps: number): number {
  // The nearest whole step: what is negative is cut off towards zero.
  const whole = (steps - 0.5) | 0;
  const rest = (steps - whole) / STEPS_PER_E;
  const series = 1 + rest * (1 + rest * (1 / 2 + rest * (1 / 6)));
  return (FRACTIONS[whole & (STEPS - 1)] as number) * (POWERS[-(whole >> 10)] as number) * series;
}

/**
 * Weighs the logits from `floor` on by e^((logit - max) / temperature), in the order of their ids; `floor` is at most
 * 100 temperatures below `max`, the largest logit. Fills `ids` and `weights`; returns how many there are.
 */
export function weighFrom(
  floor: number,
  logits: Float32Array,
  max: number,
  temperature: number,
  ids: Int32Array,
  weights: Float64Array,
): number {
  const scale = STEPS_PER_E / temperature;
  let count = 0;
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id] as number;
    if (logit < floor) continue;
    ids[count] = id;
    weights[count++] = weigh((logit - max) * scale);
  }
  return count;
}

/** The weight of one logit, as `weighFrom` has it. */
export const weighOne = (logit: number, max: number, temperature: number): number =>
  weigh((logit - max) * (STEPS_PER_E / temperature));

/** The sum of e^(logit - max) over the logits from `floor` on, which is at most 100 below `max`, the largest logit. */
export function totalWeight(floor: number, logits: Float32Array, max: number): number {
  let total = 0;
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id] as number;
    if (logit >= floor) total += weigh((logit - max) * STEPS_PER_E);
  }
  return total;
}
