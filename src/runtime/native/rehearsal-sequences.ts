/** Short, so that each token in the cache counts, and no two alike. */
const LENGTHS = [4, 6, 8];
/** Comes by all of half a vocabulary, but for one of its multiples. */
const STRIDE = 7919;

export interface RehearsalSequences {
  /** They end in one token: only what is in the cache tells their logits apart. */
  readonly short: readonly Int32Array[];
  /** As long as the last of those, and ends in another token. */
  readonly other: Int32Array;
  /** Ends as the short ones do. */
  readonly long: Int32Array;
}

/** Texts that differ in every token before the last. */
export function rehearsalSequences(vocabSize: number, longLength: number): RehearsalSequences {
  // Those near the end may be padding, which was never trained.
  const known = Math.max(2, Math.floor(vocabSize / 2));
  let drawn = 0;
  const draw = (): number => (13 + drawn++ * STRIDE) % known;
  const last = draw();
  const text = (length: number, end: number): Int32Array =>
    Int32Array.from({ length }, (_, at) => (at < length - 1 ? draw() : end));
  const short = LENGTHS.map((length) => text(length, last));
  return { short, other: text(Math.max(...LENGTHS), draw()), long: text(longLength, last) };
}
