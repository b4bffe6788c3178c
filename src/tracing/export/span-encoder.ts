import { type Attributes, type HrTime, SpanStatusCode, TraceFlags } from "@opentelemetry/api";
import type { ReadableSpan } from "@opentelemetry/sdk-trace-node";
import { ALLOWED_ATTRIBUTES, hasType, holdsContent, MAX_NAME_LENGTH, MAX_VALUE_LENGTH } from "../privacy.js";
import { FLAG, FREE, TYPES } from "./span-layout.js";
import type { AttributeValue } from "./span-record.js";

/** What is encoded of a span. */
export type EndedSpan = Pick<
  ReadableSpan,
  "name" | "kind" | "spanContext" | "parentSpanContext" | "startTime" | "endTime" | "status" | "attributes" | "events"
>;

/** Larger spans are refused. */
export const MAX_SPAN_BYTES = 64 * 1024;
const MAX_ITEMS = 255;

const CODES = new Map(ALLOWED_ATTRIBUTES.map((attribute, code) => [attribute.name, { ...attribute, code }]));

const NIBBLES = new Uint8Array(128);
for (let value = 0; value < 16; value++) NIBBLES[value.toString(16).charCodeAt(0)] = value;

function micros(time: HrTime): number {
  return time[0] * 1e6 + Math.round(time[1] / 1e3);
}

/** Thrown inside the encoder when the span outgrows its buffer; allocated once. */
const TOO_LARGE = new Error("span is too large");

/** Writes spans into `bytes`, which are the ring's; it allocates nothing a span. */
export class SpanEncoder {
  /** Attributes left out because the allow-list does not have them. */
  droppedAttributes = 0;
  readonly #view: DataView;
  #at = 0;
  #end = 0;

  /** @param mostBytes of one span */
  constructor(
    private readonly bytes: Buffer,
    private readonly mostBytes: number,
  ) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Writes from `start` on. The span's length, or 0 when it does not fit. @param free whether names beyond the allow-list pass */
  encode(span: EndedSpan, debug: boolean, start: number, free = false): number {
    try {
      this.#at = start;
      this.#end = start + this.mostBytes;
      this.#head(span, debug);
      this.#attributes(span.attributes, free);
      const events = Math.min(span.events.length, MAX_ITEMS);
      this.#byte(events);
      for (let index = 0; index < events; index++) {
        const event = span.events[index];
        this.#double(event === undefined ? 0 : micros(event.time));
        this.#text(event?.name ?? "", MAX_NAME_LENGTH);
      }
      return this.#at - start;
    } catch (error) {
      if (error === TOO_LARGE) return 0;
      throw error;
    }
  }

  #head(span: EndedSpan, debug: boolean): void {
    const { traceId, spanId, traceFlags } = span.spanContext();
    const parentId = span.parentSpanContext?.spanId;
    const failed = span.status.code === SpanStatusCode.ERROR;
    this.#byte(
      (parentId === undefined ? 0 : FLAG.parent) |
        (debug ? FLAG.debug : 0) |
        (failed ? FLAG.failed : 0) |
        ((traceFlags & TraceFlags.SAMPLED) === 0 ? FLAG.undecided : 0) |
        (span.parentSpanContext === undefined || span.parentSpanContext.isRemote === true ? FLAG.last : 0),
    );
    this.#byte(span.kind);
    this.#hex(traceId);
    this.#hex(spanId);
    if (parentId !== undefined) this.#hex(parentId);
    this.#double(micros(span.startTime));
    this.#double(micros(span.endTime));
    this.#text(span.name, MAX_NAME_LENGTH);
    if (failed) this.#text(span.status.message ?? "", MAX_VALUE_LENGTH);
  }

  #attributes(attributes: Attributes, free: boolean): void {
    const countAt = this.#at;
    let count = 0;
    this.#byte(0);
    for (const name in attributes) {
      const value = attributes[name];
      const allowed = CODES.get(name);
      const fits = count < MAX_ITEMS;
      if (fits && allowed !== undefined && hasType(value, allowed.type)) {
        this.#byte(allowed.code);
        this.#value(allowed.clean === undefined ? (value as AttributeValue) : allowed.clean(value as string));
        count++;
      } else if (fits && free && this.#free(name, value)) count++;
      else this.droppedAttributes++;
    }
    this.bytes[countAt] = count;
  }

  /** False when it may not pass, or is of no type that spans carry. */
  #free(name: string, value: unknown): boolean {
    const type = TYPES.findIndex((one) => hasType(value, one));
    if (type === -1 || holdsContent(name)) return false;
    this.#byte(FREE);
    this.#text(name, MAX_NAME_LENGTH);
    this.#byte(type);
    this.#value(value as AttributeValue);
    return true;
  }

  #value(value: AttributeValue): void {
    if (typeof value === "number") this.#double(value);
    else if (typeof value === "string") this.#text(value, MAX_VALUE_LENGTH);
    else if (typeof value === "boolean") this.#byte(value ? 1 : 0);
    else {
      const count = Math.min(value.length, MAX_ITEMS);
      this.#byte(count);
      for (let index = 0; index < count; index++) this.#text(value[index] ?? "", MAX_VALUE_LENGTH);
    }
  }

  #byte(value: number): void {
    if (this.#at >= this.#end) throw TOO_LARGE;
    this.bytes[this.#at++] = value;
  }

  #double(value: number): void {
    const at = this.#at;
    if (at + 8 > this.#end) throw TOO_LARGE;
    this.#view.setFloat64(at, value, true);
    this.#at = at + 8;
  }

  #hex(digits: string): void {
    const bytes = this.bytes;
    let at = this.#at;
    if (at + digits.length / 2 > this.#end) throw TOO_LARGE;
    for (let index = 0; index < digits.length; index += 2) {
      const high = NIBBLES[digits.charCodeAt(index)] ?? 0;
      bytes[at++] = (high << 4) | (NIBBLES[digits.charCodeAt(index + 1)] ?? 0);
    }
    this.#at = at;
  }

  #text(text: string, limit: number): void {
    const length = Math.min(text.length, limit);
    if (this.#at + 2 + length * 3 > this.#end) throw TOO_LARGE;
    const bytes = this.bytes;
    const start = this.#at + 2;
    let written = 0;
    // Nearly all text is short ASCII, for which a loop beats a call into the runtime.
    while (written < length) {
      const unit = text.charCodeAt(written);
      if (unit > 127) break;
      bytes[start + written++] = unit;
    }
    if (written < length) {
      written += this.bytes.write(text.slice(written, length), start + written, "utf8");
    }
    this.bytes[this.#at] = written & 255;
    this.bytes[this.#at + 1] = written >> 8;
    this.#at = start + written;
  }
}
