/** A shared library of 64 bits with nothing but a dynamic section, for what reads those. */

export interface ElfContent {
  readonly needed: readonly string[];
  readonly runpath?: string;
}

/** Where the file's bytes would lie in memory: not where they lie in the file. */
const BASE = 0x10000;

export function elfFile({ needed, runpath }: ElfContent): Buffer {
  const texts = [...needed, ...(runpath === undefined ? [] : [runpath])];
  const offsets = texts.map(
    (_, index) =>
      1 +
      Buffer.byteLength(
        texts
          .slice(0, index)
          .map((text) => `${text}\0`)
          .join(""),
      ),
  );
  const strings = Buffer.from(`\0${texts.map((text) => `${text}\0`).join("")}`);
  const tags = texts.map((_, index) => [index < needed.length ? 1 : 29, offsets[index] ?? 0] as const);
  const headers = 64 + 2 * 56;
  const dynamicBytes = (tags.length + 2) * 16;
  const dynamic = Buffer.alloc(dynamicBytes);
  [...tags, [5, BASE + headers + dynamicBytes] as const].forEach(([tag, value], index) => {
    dynamic.writeBigInt64LE(BigInt(tag), index * 16);
    dynamic.writeBigUInt64LE(BigInt(value), index * 16 + 8);
  });
  const header = Buffer.alloc(64);
  header.write("\x7fELF\x02\x01\x01", "latin1");
  header.writeBigUInt64LE(64n, 32);
  header.writeUInt16LE(56, 54);
  header.writeUInt16LE(2, 56);
  const load = segment(1, 0, headers + dynamicBytes + strings.length);
  return Buffer.concat([header, load, segment(2, headers, dynamicBytes), dynamic, strings]);
}

function segment(type: number, offset: number, bytes: number): Buffer {
  const entry = Buffer.alloc(56);
  entry.writeUInt32LE(type, 0);
  entry.writeBigUInt64LE(BigInt(offset), 8);
  entry.writeBigUInt64LE(BigInt(BASE + offset), 16);
  entry.writeBigUInt64LE(BigInt(bytes), 32);
  return entry;
}
