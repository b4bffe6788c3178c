/** From here on sizes are multiples of it. */
const STEP = 8;

/**
 * The size of batch that takes so many rows, of a few that are: powers of two, then multiples of 8, and `most`, which is
 * not less than `rows`.
 */
export function batchFor(rows: number, most: number): number {
  const size = rows < STEP ? 2 ** Math.ceil(Math.log2(rows)) : Math.ceil(rows / STEP) * STEP;
  return Math.min(size, most);
}
