/** Uniform in [0, 1). */
export type Random = () => number;

/** A seed for one part of a run: neighbouring parts get ones that have nothing in common. */
export function seedOf(...parts: readonly number[]): number {
  return parts.reduce((hash, part) => {
    const mixed = Math.imul(hash ^ part, 0x9e3779b1);
    return (mixed ^ (mixed >>> 15)) >>> 0;
  }, 0x811c9dc5);
}

/** Standard normal, by Box and Muller. */
export function normal(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

/** Gamma of this shape and mean 1 (Marsaglia and Tsang, "A simple method for generating gamma variables", 2000). */
export function gamma(shape: number, random: Random): number {
  // Their method needs a shape of at least 1; below, a power of a uniform number makes up for one more.
  const boost = shape < 1 ? (1 - random()) ** (1 / shape) : 1;
  const d = (shape < 1 ? shape + 1 : shape) - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  for (;;) {
    const x = normal(random);
    const v = (1 + c * x) ** 3;
    if (v > 0 && Math.log(1 - random()) < 0.5 * x * x + d * (1 - v + Math.log(v))) return (boost * d * v) / shape;
  }
}
