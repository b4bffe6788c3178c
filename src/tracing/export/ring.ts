/**
 * A byte ring between one writing and one reading thread, in shared memory. Records are whole or absent.
 *
 * Layout: two counters on cache lines of their own (bytes ever written, bytes ever read; unsigned, wrapping),
 * then the data. A record is its length in 4 bytes, then its bytes, padded to 4. One that would cross the end
 * starts again at the front; the gap is marked.
 */
const HEAD = 0;
const TAIL = 16;
const HEADER_BYTES = 128;
const GAP = -1;

export type WriteResult = "written" | "full" | "oversize";

/** `capacity` is a power of two, in bytes. */
export function createRing(capacity: number): SharedArrayBuffer {
  if (capacity < 64 || capacity > 2 ** 30 || (capacity & (capacity - 1)) !== 0) {
    throw new RangeError(`ring capacity ${capacity} is not a power of two between 64 and 2^30`);
  }
  return new SharedArrayBuffer(HEADER_BYTES + capacity);
}

abstract class RingEnd {
  protected readonly counters: Int32Array;
  protected readonly words: Int32Array;
  protected readonly capacity: number;

  constructor(memory: SharedArrayBuffer) {
    this.capacity = memory.byteLength - HEADER_BYTES;
    this.counters = new Int32Array(memory, 0, HEADER_BYTES / 4);
    this.words = new Int32Array(memory, HEADER_BYTES);
  }

  protected offset(position: number): number {
    return position & (this.capacity - 1);
  }
}

export class RingWriter extends RingEnd {
  readonly #bytes: Uint8Array;

  constructor(memory: SharedArrayBuffer) {
    super(memory);
    this.#bytes = new Uint8Array(memory, HEADER_BYTES);
  }

  /** Copies the first `length` bytes of `record`. Never waits. */
  write(record: Uint8Array, length: number): WriteResult {
    const need = 4 + ((length + 3) & ~3);
    // Half the ring always fits once the reader has caught up, wherever the gap falls.
    if (need > this.capacity / 2) return "oversize";
    const head = Atomics.load(this.counters, HEAD);
    const used = (head - Atomics.load(this.counters, TAIL)) >>> 0;
    let at = this.offset(head);
    const toEnd = this.capacity - at;
    const gap = need > toEnd ? toEnd : 0;
    if (used + gap + need > this.capacity) return "full";
    if (gap > 0) {
      this.words[at >> 2] = GAP;
      at = 0;
    }
    this.words[at >> 2] = length;
    this.#bytes.set(record.length === length ? record : record.subarray(0, length), at + 4);
    Atomics.store(this.counters, HEAD, (head + gap + need) | 0);
    return "written";
  }
}

export class RingReader extends RingEnd {
  readonly #bytes: Buffer;

  constructor(memory: SharedArrayBuffer) {
    super(memory);
    this.#bytes = Buffer.from(memory, HEADER_BYTES);
  }

  /**
   * Gives the oldest record to `consume` as `length` bytes at `start` of `bytes`, valid during the call only,
   * then frees it. False when the ring is empty.
   */
  read(consume: (bytes: Buffer, start: number, length: number) => void): boolean {
    let tail = Atomics.load(this.counters, TAIL);
    if (tail === Atomics.load(this.counters, HEAD)) return false;
    let at = this.offset(tail);
    let length = this.words[at >> 2] ?? GAP;
    if (length === GAP) {
      tail += this.capacity - at;
      at = 0;
      length = this.words[0] ?? 0;
    }
    try {
      consume(this.#bytes, at + 4, length);
    } finally {
      Atomics.store(this.counters, TAIL, (tail + 4 + ((length + 3) & ~3)) | 0);
    }
    return true;
  }

  /** Records in the ring, which neither end may use meanwhile. */
  get waiting(): number {
    const head = Atomics.load(this.counters, HEAD);
    let count = 0;
    for (let tail = Atomics.load(this.counters, TAIL); tail !== head; tail |= 0) {
      const length = this.words[this.offset(tail) >> 2] ?? GAP;
      if (length === GAP) tail += this.capacity - this.offset(tail);
      else {
        tail += 4 + ((length + 3) & ~3);
        count++;
      }
    }
    return count;
  }
}
