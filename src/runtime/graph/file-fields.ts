import { readSync } from "node:fs";
import { type DescMessage, type MessageShape, mergeFromBinary } from "@bufbuild/protobuf";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";

/** Bytes of a file. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** One field of a message in a file; the range is the whole field's. */
export interface Field extends Range {
  readonly number: number;
  /** Of a message, text or bytes: their content. */
  readonly value: Range;
}

const WINDOW_BYTES = 1 << 13;
/** The longest head of a field, or field without length: key and value of ten bytes each. */
const HEAD_BYTES = 20;

/** Protocol Buffers messages in a file, read without what is not wanted of them. */
export class FileFields {
  readonly #file: number;
  readonly #window = new Uint8Array(WINDOW_BYTES);
  #windowStart = 0;
  #windowEnd = 0;

  constructor(file: number) {
    this.#file = file;
  }

  /**
   * Merges the message at `range` into `message`, but for the fields that `take` says true to: it has dealt with them.
   * Throws what the library throws for what is no message, and RangeError.
   */
  merge<Schema extends DescMessage>(
    schema: Schema,
    message: MessageShape<Schema>,
    range: Range,
    take: (field: Field) => boolean,
  ): void {
    let from = range.start;
    const mergeUntil = (end: number): void => {
      if (end > from) mergeFromBinary(schema, message, this.#read({ start: from, end }));
    };
    for (let start = range.start; start < range.end; ) {
      const field = this.#fieldAt(start);
      if (field.end > range.end) throw new RangeError("a field reaches beyond its message");
      if (take(field)) {
        mergeUntil(field.start);
        from = field.end;
      }
      start = field.end;
    }
    mergeUntil(range.end);
  }

  #fieldAt(start: number): Field {
    const reader = new BinaryReader(this.#headAt(start));
    const [number, wireType] = reader.tag();
    if (wireType === WireType.LengthDelimited) {
      const length = reader.uint32();
      const valueStart = start + reader.pos;
      return { number, start, end: valueStart + length, value: { start: valueStart, end: valueStart + length } };
    }
    const valueStart = start + reader.pos;
    reader.skip(wireType, number);
    return { number, start, end: start + reader.pos, value: { start: valueStart, end: start + reader.pos } };
  }

  #headAt(start: number): Uint8Array {
    if (start < this.#windowStart || start + HEAD_BYTES > this.#windowEnd) {
      this.#windowStart = start;
      this.#windowEnd = start + readSync(this.#file, this.#window, 0, WINDOW_BYTES, start);
    }
    const offset = start - this.#windowStart;
    return this.#window.subarray(offset, Math.min(offset + HEAD_BYTES, this.#windowEnd - this.#windowStart));
  }

  #read({ start, end }: Range): Uint8Array {
    const bytes = new Uint8Array(end - start);
    if (readSync(this.#file, bytes, 0, bytes.length, start) < bytes.length) throw new RangeError("cut short");
    return bytes;
  }
}
