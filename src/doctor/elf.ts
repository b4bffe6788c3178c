/**
 * What a shared library says of itself in its dynamic section: no machine that only runs programs has readelf.
 * Source: System V ABI, "Object Files" and "Program Loading and Dynamic Linking"; 64-bit, little-endian.
 */
import { closeSync, openSync, readSync } from "node:fs";

export interface DynamicSection {
  /** `DT_NEEDED`: names of libraries. */
  readonly needed: readonly string[];
  /** `DT_RUNPATH`, or else `DT_RPATH`: folders, `$ORIGIN` as it stands. */
  readonly runpath: readonly string[];
}

const MAGIC = "\x7fELF";
const CLASS_64_LITTLE = "\x02\x01";
const SEGMENT = { load: 1, dynamic: 2 } as const;
const TAG = { needed: 1, strings: 5, rpath: 15, runpath: 29 } as const;
const PROGRAM_HEADER_BYTES = 56;
const ENTRY_BYTES = 16;
/** A name or path of a dynamic section is far shorter. */
const LONGEST_TEXT = 4096;

interface Segment {
  readonly type: number;
  readonly offset: number;
  readonly address: number;
  readonly bytes: number;
}

/** Undefined where the file is no such library. Throws what reading it throws. */
export function readDynamicSection(path: string): DynamicSection | undefined {
  const file = openSync(path, "r");
  try {
    return dynamicSectionOf((offset, length) => {
      const bytes = Buffer.alloc(length);
      return bytes.subarray(0, readSync(file, bytes, 0, length, offset));
    });
  } finally {
    closeSync(file);
  }
}

type Read = (offset: number, length: number) => Buffer;

function dynamicSectionOf(read: Read): DynamicSection | undefined {
  const header = read(0, 64);
  if (header.length < 64 || header.toString("latin1", 0, 6) !== MAGIC + CLASS_64_LITTLE) return undefined;
  const segments = segmentsOf(read, Number(header.readBigUInt64LE(32)), header.readUInt16LE(56));
  const dynamic = segments.find(({ type }) => type === SEGMENT.dynamic);
  if (dynamic === undefined) return { needed: [], runpath: [] };
  const entries = entriesOf(read(dynamic.offset, dynamic.bytes));
  const table = entries.find(({ tag }) => tag === TAG.strings)?.value ?? 0;
  // The table's place is told as it will be in memory.
  const home = segments.find(
    ({ type, address, bytes }) => type === SEGMENT.load && table >= address && table < address + bytes,
  );
  if (home === undefined) return undefined;
  const text = (value: number): string => {
    const bytes = read(home.offset + (table - home.address) + value, LONGEST_TEXT);
    return bytes.toString("utf8", 0, Math.max(0, bytes.indexOf(0)));
  };
  const texts = (wanted: number) => entries.filter(({ tag }) => tag === wanted).map(({ value }) => text(value));
  const paths = texts(TAG.runpath).length > 0 ? texts(TAG.runpath) : texts(TAG.rpath);
  return { needed: texts(TAG.needed), runpath: paths.flatMap((list) => list.split(":")).filter((path) => path !== "") };
}

function segmentsOf(read: Read, offset: number, count: number): Segment[] {
  const table = read(offset, count * PROGRAM_HEADER_BYTES);
  return Array.from({ length: Math.floor(table.length / PROGRAM_HEADER_BYTES) }, (_, index) => {
    const at = index * PROGRAM_HEADER_BYTES;
    return {
      type: table.readUInt32LE(at),
      offset: Number(table.readBigUInt64LE(at + 8)),
      address: Number(table.readBigUInt64LE(at + 16)),
      bytes: Number(table.readBigUInt64LE(at + 32)),
    };
  });
}

function entriesOf(section: Buffer): { readonly tag: number; readonly value: number }[] {
  return Array.from({ length: Math.floor(section.length / ENTRY_BYTES) }, (_, index) => ({
    tag: Number(section.readBigInt64LE(index * ENTRY_BYTES)),
    value: Number(section.readBigUInt64LE(index * ENTRY_BYTES + 8)),
  }));
}
