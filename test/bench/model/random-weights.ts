import { once } from "node:events";
import { createWriteStream, type WriteStream } from "node:fs";
import { type FloatPrecision, stored } from "./half-precision.js";

const POOL_BYTES = 1 << 22;

/** Seeded random bytes (xorshift32): one pool that every tensor repeats, each from another place. */
function randomPool(): Uint32Array {
  const pool = new Uint32Array(POOL_BYTES / 4);
  let state = 0x9e3779b9;
  for (let i = 0; i < pool.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    pool[i] = state;
  }
  return pool;
}

const BITS = randomPool();
const BYTES = new Uint8Array(BITS.buffer);

/** Values in [-1, 1) times `scale`, plus `center`. */
function uniformPool(center: number, scale: number, type: FloatPrecision): Uint8Array {
  const values = Float32Array.from(BITS, (bits) => center + scale * (bits / 2 ** 31 - 1));
  return stored(values, type);
}

/** Standard deviation of a weight that keeps the size of activations, in units of the 16 levels of a 4-bit one. */
export const scaleOf = (inputs: number): number => 1 / (4.6 * Math.sqrt(inputs));

/** The same in units of a uniform distribution's half width. */
export const uniformScaleOf = (inputs: number): number => Math.sqrt(3 / inputs);

/** A file of weights, written front to back: hundreds of MB never lie in memory. */
export class WeightFile {
  readonly #stream: WriteStream;
  readonly #pools = new Map<string, Uint8Array>();
  #bytes = 0;
  #tensors = 0;

  constructor(path: string) {
    this.#stream = createWriteStream(path);
  }

  get bytes(): number {
    return this.#bytes;
  }

  async write(data: Uint8Array): Promise<void> {
    this.#bytes += data.length;
    if (!this.#stream.write(data)) await once(this.#stream, "drain");
  }

  /** Zeros up to the next multiple. */
  async align(bytes: number): Promise<void> {
    const rest = this.#bytes % bytes;
    if (rest > 0) await this.write(new Uint8Array(bytes - rest));
  }

  /** 4-bit weights, two a byte. */
  nibbles(bytes: number): Promise<void> {
    return this.#repeat(BYTES, bytes, 1);
  }

  /** Values around `center`. */
  floats(count: number, center: number, scale: number, type: FloatPrecision = "float32"): Promise<void> {
    const item = type === "float32" ? 4 : 2;
    const pool = this.#pool(`${type} ${center} ${scale}`, () => uniformPool(center, scale, type));
    return this.#repeat(pool, count * item, item);
  }

  /** GGUF's Q4_0: blocks of a half-precision scale and 32 weights of 4 bits. */
  blocksQ4(blocks: number, scale: number): Promise<void> {
    const pool = this.#pool(`q4 ${scale}`, () => blockPool(scale));
    return this.#repeat(pool, blocks * 18, 18);
  }

  async close(): Promise<void> {
    this.#stream.end();
    await once(this.#stream, "finish");
  }

  #pool(key: string, make: () => Uint8Array): Uint8Array {
    const pool = this.#pools.get(key) ?? make();
    this.#pools.set(key, pool);
    return pool;
  }

  async #repeat(pool: Uint8Array, bytes: number, item: number): Promise<void> {
    const items = Math.floor(pool.length / item);
    let start = ((this.#tensors++ * 104_729) % items) * item;
    for (let left = bytes; left > 0; start = 0) {
      const part = pool.subarray(start, Math.min(start + left, items * item));
      await this.write(part);
      left -= part.length;
    }
  }
}

function blockPool(scale: number): Uint8Array {
  const pool = Uint8Array.from(BYTES.subarray(0, BYTES.length - (BYTES.length % 18)));
  // The nearest power of two, whose half-precision bits are its exponent alone.
  const bits = (Math.round(Math.log2(scale)) + 15) << 10;
  for (let at = 0; at < pool.length; at += 18) {
    pool[at] = bits & 0xff;
    pool[at + 1] = bits >> 8;
  }
  return pool;
}
