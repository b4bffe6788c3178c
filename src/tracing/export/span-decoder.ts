import { ALLOWED_ATTRIBUTES, type AttributeType } from "../privacy.js";
import { FLAG, FREE, TYPES } from "./span-layout.js";
import type { AttributeValue, SpanRecord } from "./span-record.js";

/** Reads one span at a time; only the export thread does. */
export class SpanDecoder {
  #bytes: Buffer = Buffer.alloc(0);
  #at = 0;

  /** @throws RangeError when the bytes are not a span */
  decode(bytes: Buffer, start: number, length: number): SpanRecord {
    this.#bytes = bytes;
    this.#at = start;
    const flags = this.#byte();
    const failed = (flags & FLAG.failed) !== 0;
    const record = {
      debug: (flags & FLAG.debug) !== 0,
      failed,
      kind: this.#byte(),
      traceId: this.#hex(16),
      spanId: this.#hex(8),
      parentId: (flags & FLAG.parent) === 0 ? undefined : this.#hex(8),
      start: this.#double(),
      end: this.#double(),
      name: this.#text(),
      statusMessage: failed ? this.#text() : "",
      attributes: this.#attributes(),
      events: this.#events(),
    };
    if (this.#at !== start + length) throw new RangeError(`span record of ${length} bytes read as ${this.#at - start}`);
    return record;
  }

  #events(): SpanRecord["events"] {
    const events = [];
    for (let left = this.#byte(); left > 0; left--) events.push({ at: this.#double(), name: this.#text() });
    return events;
  }

  #attributes(): Record<string, AttributeValue> {
    const attributes: Record<string, AttributeValue> = {};
    for (let left = this.#byte(); left > 0; left--) {
      const code = this.#byte();
      const named = code === FREE ? { name: this.#text(), type: TYPES[this.#byte()] } : ALLOWED_ATTRIBUTES[code];
      if (named?.type === undefined) throw new RangeError(`span record has unknown attribute code ${code}`);
      attributes[named.name] = this.#value(named.type);
    }
    return attributes;
  }

  #value(type: AttributeType): AttributeValue {
    if (type === "number") return this.#double();
    if (type === "string") return this.#text();
    if (type === "boolean") return this.#byte() === 1;
    return Array.from({ length: this.#byte() }, () => this.#text());
  }

  #byte(): number {
    return this.#bytes[this.#at++] ?? 0;
  }

  #double(): number {
    const at = this.#at;
    this.#at = at + 8;
    return this.#bytes.readDoubleLE(at);
  }

  #hex(count: number): string {
    const start = this.#at;
    this.#at += count;
    return this.#bytes.toString("hex", start, this.#at);
  }

  #text(): string {
    const length = this.#byte() | (this.#byte() << 8);
    const start = this.#at;
    this.#at += length;
    return this.#bytes.toString("utf8", start, this.#at);
  }
}
