import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { VitrineError } from "../errors.js";

/** One operator of a graph, without its attributes. */
export interface GraphNode {
  readonly operator: string;
  /** Empty for ONNX's own operators. */
  readonly domain: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

/** Field numbers of onnx.proto. */
const MODEL_GRAPH = 7;
const GRAPH_NODE = 1;
const NODE_INPUT = 1;
const NODE_OUTPUT = 2;
const NODE_OPERATOR = 4;
const NODE_DOMAIN = 7;

/**
 * The nodes of the ONNX graph in a file. Weights are skipped unread, so this takes milliseconds for a file of any size.
 * Throws VitrineError `model_invalid`.
 */
export function readGraphNodes(path: string): GraphNode[] {
  const file = openSync(path, "r");
  try {
    return [...nodesOf(new ProtoReader(file), fstatSync(file).size)];
  } catch (cause) {
    throw new VitrineError(
      "model_invalid",
      `${path} cannot be loaded; it may be truncated or damaged: download it again.`,
      {
        cause,
      },
    );
  } finally {
    closeSync(file);
  }
}

function* nodesOf(reader: ProtoReader, end: number): Generator<GraphNode> {
  for (const field of reader.fields(end)) {
    if (field.number !== MODEL_GRAPH) continue;
    for (const inner of reader.fields(field.end)) {
      if (inner.number === GRAPH_NODE) yield nodeOf(reader, inner.end);
    }
  }
}

function nodeOf(reader: ProtoReader, end: number): GraphNode {
  const inputs: string[] = [];
  const outputs: string[] = [];
  let operator = "";
  let domain = "";
  for (const field of reader.fields(end)) {
    if (field.number === NODE_INPUT) inputs.push(reader.text(field.end));
    else if (field.number === NODE_OUTPUT) outputs.push(reader.text(field.end));
    else if (field.number === NODE_OPERATOR) operator = reader.text(field.end);
    else if (field.number === NODE_DOMAIN) domain = reader.text(field.end);
  }
  return { operator, domain, inputs, outputs };
}

interface ProtoField {
  readonly number: number;
  /** Where its value ends in the file. */
  readonly end: number;
}

const WINDOW_BYTES = 1 << 16;

/** Walks Protocol Buffers' wire format through a window on the file. */
class ProtoReader {
  readonly #file: number;
  readonly #window = Buffer.alloc(WINDOW_BYTES);
  #windowStart = 0;
  #windowLength = 0;
  #position = 0;

  constructor(file: number) {
    this.#file = file;
  }

  /** Fields from here to `end`. What of a field was not read is skipped. */
  *fields(end: number): Generator<ProtoField> {
    while (this.#position < end) {
      const key = this.#varint();
      const field = { number: Math.floor(key / 8), end: this.#valueEnd(key % 8) };
      if (field.end > end) throw new Error("a field reaches beyond its message");
      yield field;
      this.#position = field.end;
    }
  }

  text(end: number): string {
    const bytes = Buffer.alloc(end - this.#position);
    if (readSync(this.#file, bytes, 0, bytes.length, this.#position) < bytes.length) throw new Error("cut short");
    return bytes.toString("utf8");
  }

  #valueEnd(wireType: number): number {
    switch (wireType) {
      case 0:
        this.#varint();
        return this.#position;
      case 1:
        return this.#position + 8;
      case 2: {
        const length = this.#varint();
        return this.#position + length;
      }
      case 5:
        return this.#position + 4;
      default:
        throw new Error(`no wire type ${wireType}`);
    }
  }

  #varint(): number {
    let value = 0;
    for (let scale = 1; scale <= 2 ** 63; scale *= 128) {
      if (!this.#fill()) throw new Error("cut short");
      const byte = this.#window[this.#position++ - this.#windowStart] as number;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
    throw new Error("no varint");
  }

  /** True when the byte at the position is in the window; false at the end of the file. */
  #fill(): boolean {
    const offset = this.#position - this.#windowStart;
    if (offset >= 0 && offset < this.#windowLength) return true;
    this.#windowStart = this.#position;
    this.#windowLength = readSync(this.#file, this.#window, 0, WINDOW_BYTES, this.#position);
    return this.#windowLength > 0;
  }
}
