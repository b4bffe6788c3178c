import type { AttributeType } from "../privacy.js";

/**
 * A span as compact binary, between the two threads of one process:
 *
 *     u8 flags, u8 kind, 16 bytes trace id, 8 bytes span id, [8 bytes parent id],
 *     f64 start, f64 end (whole microseconds since the epoch), text name, [text status message],
 *     u8 attributes × (u8 code of the name, value), u8 events × (f64 time, text name)
 *
 * A name that has no code has FREE for one, before the value: text name, u8 type.
 *
 * Flags also say whether the head sampler left the trace undecided, and whether the span is the last of its trace
 * here: one without a parent in this process. Text is its length in 2 bytes, then UTF-8. An attribute's code gives its type. Numbers are
 * little-endian.
 */
export const FLAG = { parent: 1, debug: 2, failed: 4, undecided: 8, last: 16 } as const;
const TRACE_ID = { from: 2, to: 18 } as const;

/** In place of an attribute's code. */
export const FREE = 255;
/** Of attributes without a code, by their number. */
export const TYPES: readonly AttributeType[] = ["string", "number", "boolean", "strings"];

/** What the tail sampler needs to know of an encoded span; cheaper than decoding it. Undefined for one that is to be kept. */
export function readUndecided(
  bytes: Buffer,
  start: number,
): { readonly traceId: string; readonly last: boolean } | undefined {
  const flags = bytes[start] ?? 0;
  if ((flags & FLAG.undecided) === 0) return undefined;
  const traceId = bytes.toString("latin1", start + TRACE_ID.from, start + TRACE_ID.to);
  return { traceId, last: (flags & FLAG.last) !== 0 };
}
