/** A set of bytes: its bits for combining, its table for asking. */
export interface ByteSet {
  readonly bits: bigint;
  /** 1 for each byte of the set. */
  readonly table: Uint8Array;
}

export const ALL_BYTES = (1n << 256n) - 1n;

export function byteSet(bits: bigint): ByteSet {
  const table = new Uint8Array(256);
  const digits = bits.toString(16).padStart(64, "0");
  for (let byte = 0; byte < 256; byte++) {
    table[byte] = (Number.parseInt(digits[63 - (byte >> 2)] ?? "0", 16) >> (byte & 3)) & 1;
  }
  return { bits, table };
}

/** The bits of the bytes from `low` to `high`. */
export function byteRange(low: number, high = low): bigint {
  return ((1n << BigInt(high - low + 1)) - 1n) << BigInt(low);
}

/** One byte of each class that none of the sets tells apart: what holds for these holds for all 256. */
export function representatives(sets: Iterable<ByteSet>): readonly number[] {
  let classes = new Uint8Array(256);
  for (const { table } of sets) {
    const renamed = new Map<number, number>();
    classes = classes.map((known, byte) => {
      const name = 2 * known + (table[byte] as number);
      const short = renamed.get(name) ?? renamed.size;
      renamed.set(name, short);
      return short;
    });
  }
  const first = new Map<number, number>();
  classes.forEach((name, byte) => {
    if (!first.has(name)) first.set(name, byte);
  });
  return [...first.values()];
}
