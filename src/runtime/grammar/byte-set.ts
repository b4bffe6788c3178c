/** A set of bytes: its bits for combining, its table for asking. */
export interface ByteSet {
  readonly bits: bigint;
  /** 1 for each byte of the set. */
  readonly table: Uint8Array;
}

export const ALL_BYTES = (1n << 256n) - 1n;

export function byteSet(bits: bigint): ByteSet {
  const table = new Uint8Array(256);
  for (let byte = 0, rest = bits; rest !== 0n; byte++, rest >>= 1n) table[byte] = Number(rest & 1n);
  return { bits, table };
}

/** The bits of the bytes from `low` to `high`. */
export function byteRange(low: number, high = low): bigint {
  return ((1n << BigInt(high - low + 1)) - 1n) << BigInt(low);
}

/**
 * One byte of each class that no set tells apart: what holds for these holds for all 256.
 * @param sets bits of the sets that matter
 */
export function representatives(sets: readonly bigint[]): readonly number[] {
  const tables = [...new Set(sets)].map((bits) => byteSet(bits).table);
  const found = new Map<string, number>();
  for (let byte = 0; byte < 256; byte++) {
    const signature = tables.map((table) => table[byte]).join("");
    if (!found.has(signature)) found.set(signature, byte);
  }
  return [...found.values()];
}
