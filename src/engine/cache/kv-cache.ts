import type { Micros, RequestId } from "../../protocol.js";
import type { ModelRunner } from "../runner.js";
import type { CacheLimits } from "./cache-shape.js";
import type { CacheHolder, CacheSlot, Held, Kept } from "./cache-slot.js";
import { MemoryPool } from "./memory-pool.js";
import { bestMatch, type PrefixMatch } from "./prefix-match.js";

/** The tensors behind the integers. */
export type KvMemory = Pick<ModelRunner, "rewinds" | "reserve" | "copy" | "release">;

export interface KvCacheOptions extends CacheLimits {
  readonly memory: KvMemory;
  readonly clock: () => Micros;
}

export interface CacheAdmission {
  readonly slot: number;
  /** Tokens at the start that the slot has already. */
  readonly reused: number;
}

/**
 * Which sequence holds which slot of the KV cache, and how many tokens of it. Integers only: the tensors are the
 * runner's, told here to grow, copy and forget. Memory is rows times tokens, the longest sequence deciding for all;
 * it grows by steps up to `cells`. A request's slot stays as it was when it ends (`kept`), least recently used given
 * up first, and a request that begins alike starts with it.
 */
export class KvCache {
  readonly pool: MemoryPool;
  readonly #memory: KvMemory;
  readonly #limits: CacheLimits;
  readonly #slots: CacheSlot[];
  /** Slots that are neither held nor kept, the next to hand out last. */
  readonly #free: number[];
  #tokensReserved = 0;
  #tokensKept = 0;
  #tokensEvicted = 0;
  #uses = 0;

  constructor({ memory, clock, ...limits }: KvCacheOptions) {
    this.#memory = memory;
    this.#limits = limits;
    this.pool = new MemoryPool({ ...limits, reserve: (rows, tokens) => memory.reserve(rows, tokens), clock });
    this.#slots = new Array<CacheSlot>(limits.rows).fill(undefined);
    this.#free = Array.from({ length: limits.rows }, (_, index) => limits.rows - 1 - index);
  }

  /** Sequences that it holds at most. */
  get slots(): number {
    return this.#slots.length;
  }

  get tokensTotal(): number {
    return this.pool.limit;
  }

  /** Tokens that running sequences have room for. */
  get tokensReserved(): number {
    return this.#tokensReserved;
  }

  /** Tokens of ended sequences, kept for reuse. */
  get tokensKept(): number {
    return this.#tokensKept;
  }

  /** Kept tokens given up since the start, for others to have their room. */
  get tokensEvicted(): number {
    return this.#tokensEvicted;
  }

  /** Reserved share of all tokens, 0 to 1. */
  get utilization(): number {
    return this.#tokensReserved / this.tokensTotal;
  }

  /** Most tokens that one sequence can ever have. */
  get mostTokens(): number {
    return Math.min(this.#limits.tokens, this.tokensTotal);
  }

  /** Tokens at the start of `holder` that are cached somewhere, all but its last at most. */
  reusable(holder: CacheHolder): number {
    return bestMatch(this.#slots, holder, this.#memory.rewinds)?.length ?? 0;
  }

  /** A slot with room for `room` tokens, and what it has of the holder's already; undefined when there is none now. */
  admit(holder: CacheHolder, room: number): CacheAdmission | undefined {
    if (this.#tokensReserved === 0) this.pool.forgetRefusals();
    const match = bestMatch(this.#slots, holder, this.#memory.rewinds);
    const slot = this.#slotFor(match, room);
    if (slot === undefined) return undefined;
    const reused = match === undefined || slot === match.slot ? match?.length : this.#copy(match, slot);
    this.#hold(slot, { kind: "held", holder, room });
    return { slot, reused: reused ?? 0 };
  }

  /** True when the slot's holder may grow to `room` tokens; otherwise nothing has changed but what was kept. */
  extend(slot: number, room: number): boolean {
    const held = this.#held(slot);
    if (room <= held.room) return true;
    if (!this.#fit(this.#live, room)) return false;
    this.#tokensReserved += room - held.room;
    held.room = room;
    return true;
  }

  /** The holder lets go; with `keep`, what the slot has stays for others until its memory is needed. */
  release(slot: number, keep: boolean): void {
    const { holder, room } = this.#held(slot);
    this.#tokensReserved -= room;
    if (keep && holder.cached > 0) {
      const tokens = holder.tokens.view(0, holder.cached).slice();
      this.#slots[slot] = { kind: "kept", tokens, salt: holder.salt, since: this.#uses++ };
      this.#tokensKept += tokens.length;
    } else {
      this.#forget(slot);
    }
  }

  /** Who holds the slot. */
  ownerOf(slot: number): RequestId | undefined {
    const entry = this.#slots[slot];
    return entry?.kind === "held" ? entry.holder.id : undefined;
  }

  /** Slots that somebody holds. */
  get owners(): number {
    return this.#slots.filter((slot) => slot?.kind === "held").length;
  }

  /** Throws unless free + owned + kept = all, and nothing is owned twice. */
  checkInvariants(): void {
    const held = this.#slots.filter((slot) => slot?.kind === "held");
    const kept = this.#slots.filter((slot) => slot?.kind === "kept");
    const owners = new Set(held.map(({ holder }) => holder.id));
    const longest = Math.max(0, ...held.map(({ room }) => room), ...kept.map(({ tokens }) => tokens.length));
    const problems: string[] = [];
    if (held.length + kept.length + this.#free.length !== this.#slots.length) {
      problems.push("free + owned + kept slots are not all slots");
    }
    if (new Set(this.#free).size !== this.#free.length) problems.push("a slot is free twice");
    if (this.#free.some((slot) => this.#slots[slot] !== undefined)) problems.push("a free slot is in use");
    if (owners.size !== held.length) problems.push("a sequence owns two slots");
    if (held.reduce((sum, { room }) => sum + room, 0) !== this.#tokensReserved) {
      problems.push("reserved tokens do not add up");
    }
    if (kept.reduce((sum, { tokens }) => sum + tokens.length, 0) !== this.#tokensKept) {
      problems.push("kept tokens do not add up");
    }
    if (!this.pool.holds(this.#live, longest)) problems.push("memory is too small");
    if (held.some(({ holder, room }) => holder.cached > room)) problems.push("a sequence outgrew its room");
    if (this.pool.cells > this.#limits.cells) problems.push("memory is over the limit");
    if (problems.length > 0) throw new Error(`KvCache: ${problems.join("; ")}`);
  }

  /** Slots in use. */
  get #live(): number {
    return this.#slots.length - this.#free.length;
  }

  #held(slot: number): Held {
    const held = this.#slots[slot];
    if (held?.kind !== "held") throw new Error(`Slot ${slot} is used, but nobody holds it`);
    return held;
  }

  #hold(slot: number, held: Held): void {
    this.#slots[slot] = held;
    this.#tokensReserved += held.room;
  }

  /** The slot of the match itself, where little of it is lost by that; else a new one to copy to. */
  #slotFor(match: PrefixMatch | undefined, room: number): number | undefined {
    const entry = match && this.#slots[match.slot];
    const kept = entry?.kind === "kept" ? entry : undefined;
    const whole = kept !== undefined && match !== undefined && 2 * match.length >= kept.tokens.length;
    if (!whole) {
      const slot = this.#newSlot(room, match?.slot);
      if (slot !== undefined || kept === undefined) return slot;
    }
    if (match === undefined || kept === undefined || !this.#fit(this.#live, room, match.slot)) return undefined;
    this.#tokensKept -= kept.tokens.length;
    this.#tokensEvicted += kept.tokens.length - match.length;
    return match.slot;
  }

  /** Tokens of the match that the slot has now: none where there is no memory for the copying. */
  #copy({ slot: from, length }: PrefixMatch, to: number): number {
    try {
      this.#memory.copy(from, to, length);
      return length;
    } catch {
      this.#memory.release(to);
      return 0;
    }
  }

  #newSlot(room: number, spared: number | undefined): number | undefined {
    if (this.#free.length === 0 && !this.#evict(spared)) return undefined;
    return this.#fit(this.#live + 1, room, spared) ? this.#free.pop() : undefined;
  }

  /** Makes room for so many slots in use, one of them with `room` tokens; what is kept makes way, but for `spared`. */
  #fit(rows: number, room: number, spared?: number): boolean {
    if (this.pool.holds(rows, room)) return true;
    for (let needed = rows; ; needed--) {
      const tokens = Math.max(room, this.#longest());
      if (this.pool.holds(needed, tokens)) return true;
      if (this.pool.grow({ rows: needed, tokens })) return true;
      if (!this.#evict(spared)) return false;
    }
  }

  #longest(): number {
    let longest = 0;
    for (const slot of this.#slots) {
      if (slot !== undefined) longest = Math.max(longest, slot.kind === "held" ? slot.room : slot.tokens.length);
    }
    return longest;
  }

  /** Gives up what was kept the longest. */
  #evict(spared: number | undefined): boolean {
    let oldest: number | undefined;
    let since = Number.POSITIVE_INFINITY;
    for (const [index, slot] of this.#slots.entries()) {
      if (slot?.kind !== "kept" || index === spared || slot.since >= since) continue;
      oldest = index;
      since = slot.since;
    }
    if (oldest === undefined) return false;
    const { length } = (this.#slots[oldest] as Kept).tokens;
    this.#tokensKept -= length;
    this.#tokensEvicted += length;
    this.#forget(oldest);
    return true;
  }

  #forget(slot: number): void {
    this.#slots[slot] = undefined;
    this.#free.push(slot);
    this.#memory.release(slot);
  }
}
