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
const LENGTH_BYTES = 4;

/** Records start at multiples of 4. */
const padded = (length: number): number => (length + 3) & ~3;

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

/**
 * Records are written where they will be read, with no copy between: `begin`, then up to `mostBytes` into `bytes`, then `commit`.
 * Until then the reader sees nothing of them.
 */
export class RingWriter extends RingEnd {
  readonly bytes: Buffer;
  /** The longest record. Half the ring always fits once the reader has caught up, wherever the gap falls. */
  readonly mostBytes: number;
  /** `HEAD`, which only this end writes. */
  #head: number;
  /** The last `TAIL` seen. It is looked up only when there seems to be no room: the line it is on belongs to the other core. */
  #tail: number;
  #at = 0;
  #gap = 0;

  constructor(memory: SharedArrayBuffer, mostBytes: number) {
    super(memory);
    this.bytes = Buffer.from(memory, HEADER_BYTES);
    this.mostBytes = Math.min(mostBytes, this.capacity / 2 - LENGTH_BYTES);
    this.#head = Atomics.load(this.counters, HEAD);
    this.#tail = Atomics.load(this.counters, TAIL);
  }

  /** Where in `bytes` the next record starts; -1 when there may be no room for the longest one. Never waits. */
  begin(): number {
    const need = LENGTH_BYTES + padded(this.mostBytes);
    const at = this.offset(this.#head);
    const toEnd = this.capacity - at;
    this.#gap = need > toEnd ? toEnd : 0;
    this.#at = this.#gap > 0 ? 0 : at;
    if (!this.#has(this.#gap + need)) {
      this.#tail = Atomics.load(this.counters, TAIL);
      if (!this.#has(this.#gap + need)) return -1;
    }
    return this.#at + LENGTH_BYTES;
  }

  /** Gives the record begun, which is `length` bytes long, to the reader. */
  commit(length: number): void {
    if (this.#gap > 0) this.words[this.offset(this.#head) >> 2] = GAP;
    this.words[this.#at >> 2] = length;
    this.#head = (this.#head + this.#gap + LENGTH_BYTES + padded(length)) | 0;
    Atomics.store(this.counters, HEAD, this.#head);
  }

  #has(bytes: number): boolean {
    return ((this.#head - this.#tail) >>> 0) + bytes <= this.capacity;
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
      consume(this.#bytes, at + LENGTH_BYTES, length);
    } finally {
      Atomics.store(this.counters, TAIL, (tail + LENGTH_BYTES + padded(length)) | 0);
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
        tail += LENGTH_BYTES + padded(length);
        count++;
      }
    }
    return count;
  }
}
