/** One row: what was there, what it came to, and how many observations it stands for. */
export interface Observation {
  readonly features: readonly number[];
  readonly value: number;
  readonly weight: number;
}

export interface Fit {
  /** One for each feature, none negative: no work takes less time than none. */
  readonly coefficients: readonly number[];
  /** Share of the values' variance that the fit explains. */
  readonly rSquared: number;
  /** Half of the values are nearer to the fit than this share of themselves. */
  readonly typicalError: number;
}

/**
 * Weighted least squares with coefficients of at least 0. The features are few, so every set of those that may be above 0 is
 * solved, and the best that needs no negative coefficient is the answer: exact, unlike an iteration that may stop early.
 */
export function fitNonNegative(observations: readonly Observation[]): Fit {
  const size = observations[0]?.features.length ?? 0;
  const scales = Array.from({ length: size }, (_, i) =>
    Math.max(1e-12, ...observations.map(({ features }) => features[i] ?? 0)),
  );
  const scaled = observations.map((one) => ({
    ...one,
    features: one.features.map((value, i) => value / (scales[i] ?? 1)),
  }));
  let best = { coefficients: Array.from({ length: size }, () => 0), error: squaredError(scaled, []) };
  for (let set = 1; set < 2 ** size; set++) {
    const members = Array.from({ length: size }, (_, i) => i).filter((i) => (set >> i) & 1);
    const solution = solveFor(scaled, members);
    if (solution === undefined || solution.some((coefficient) => coefficient < 0)) continue;
    const coefficients = Array.from({ length: size }, (_, i) => solution[members.indexOf(i)] ?? 0);
    const error = squaredError(scaled, coefficients);
    if (error < best.error) best = { coefficients, error };
  }
  const coefficients = best.coefficients.map((coefficient, i) => coefficient / (scales[i] ?? 1));
  return { coefficients, ...qualityOf(observations, coefficients) };
}

export const predict = (coefficients: readonly number[], features: readonly number[]): number =>
  coefficients.reduce((sum, coefficient, i) => sum + coefficient * (features[i] ?? 0), 0);

function squaredError(observations: readonly Observation[], coefficients: readonly number[]): number {
  return observations.reduce((sum, { features, value, weight }) => {
    return sum + weight * (value - predict(coefficients, features)) ** 2;
  }, 0);
}

/** How well the coefficients say what was observed. */
export function qualityOf(observations: readonly Observation[], coefficients: readonly number[]) {
  const weights = observations.reduce((sum, { weight }) => sum + weight, 0);
  const mean = observations.reduce((sum, { value, weight }) => sum + weight * value, 0) / weights;
  const variance = observations.reduce((sum, { value, weight }) => sum + weight * (value - mean) ** 2, 0);
  const errors = observations.map(({ features, value }) => Math.abs(value - predict(coefficients, features)) / value);
  const typicalError = errors.sort((a, b) => a - b)[Math.floor(errors.length / 2)] ?? 0;
  return { rSquared: variance === 0 ? 1 : 1 - squaredError(observations, coefficients) / variance, typicalError };
}

/** The normal equations of these features by Gaussian elimination; undefined where they do not tell the features apart. */
function solveFor(observations: readonly Observation[], members: readonly number[]): number[] | undefined {
  const rows = members.map((i) => {
    const products = members.map((j) => weighted(observations, (features) => (features[i] ?? 0) * (features[j] ?? 0)));
    const right = observations.reduce(
      (sum, { features, value, weight }) => sum + weight * (features[i] ?? 0) * value,
      0,
    );
    return [...products, right];
  });
  const size = members.length;
  for (let column = 0; column < size; column++) {
    const pivot = rows.slice(column).sort((a, b) => Math.abs(b[column] ?? 0) - Math.abs(a[column] ?? 0))[0] as number[];
    const original = Math.abs(weighted(observations, (features) => (features[members[column] as number] ?? 0) ** 2));
    if (Math.abs(pivot[column] as number) < 1e-9 * original || original === 0) return undefined;
    rows.splice(rows.indexOf(pivot), 1);
    rows.splice(column, 0, pivot);
    for (const row of rows) {
      if (row === pivot) continue;
      const factor = (row[column] as number) / (pivot[column] as number);
      for (let k = column; k <= size; k++) row[k] = (row[k] as number) - factor * (pivot[k] as number);
    }
  }
  return rows.map((row, i) => (row[size] as number) / (row[i] as number));
}

function weighted(observations: readonly Observation[], read: (features: readonly number[]) => number): number {
  return observations.reduce((sum, { features, weight }) => sum + weight * read(features), 0);
}
