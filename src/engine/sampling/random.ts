const MASK_64 = (1n << 64n) - 1n;

/**
 * SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014): turns one seed into as
 * many well-mixed words as a larger generator needs. Different seeds give different first words.
 */
function* splitMix64(seed: bigint): Generator<bigint, never> {
  let state = seed & MASK_64;
  for (;;) {
    state = (state + 0x9e3779b97f4a7c15n) & MASK_64;
    let word = state;
    word = ((word ^ (word >> 30n)) * 0xbf58476d1ce4e5b9n) & MASK_64;
    word = ((word ^ (word >> 27n)) * 0x94d049bb133111ebn) & MASK_64;
    yield word ^ (word >> 31n);
  }
}

const rotateLeft = (word: number, by: number): number => (word << by) | (word >>> (32 - by));

/**
 * xoshiro128** 1.1 (Blackman, Vigna, "Scrambled linear pseudorandom number generators", 2021): 128 bits of state,
 * 32-bit arithmetic only, so a draw allocates nothing. Each sequence has its own: what else runs cannot change it.
 */
export class Random {
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  private constructor(a: number, b: number, c: number, d: number) {
    this.#a = a | 0;
    this.#b = b | 0;
    this.#c = c | 0;
    this.#d = d | 0;
  }

  /** @param seed non-negative integer below 2^53 */
  static seeded(seed: number): Random {
    const words = splitMix64(BigInt(seed));
    const first = words.next().value;
    const second = words.next().value;
    const low = (word: bigint): number => Number(word & 0xffffffffn);
    return new Random(low(first), low(first >> 32n), low(second), low(second >> 32n));
  }

  /** Continues from a known state, not all zero. */
  static fromState(a: number, b: number, c: number, d: number): Random {
    return new Random(a, b, c, d);
  }

  /** The next 32 bits, as an unsigned integer. */
  nextUint32(): number {
    const result = Math.imul(rotateLeft(Math.imul(this.#b, 5), 7), 9) >>> 0;
    const shifted = this.#b << 9;
    this.#c ^= this.#a;
    this.#d ^= this.#b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= shifted;
    this.#d = rotateLeft(this.#d, 11);
    return result;
  }

  /** Uniform in [0, 1), with 53 bits. */
  nextFloat(): number {
    const high = this.nextUint32() >>> 5;
    const low = this.nextUint32() >>> 6;
    return (high * 2 ** 26 + low) / 2 ** 53;
  }
}
