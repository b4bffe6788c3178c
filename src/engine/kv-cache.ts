import type { RequestId } from "../protocol.js";

interface Reservation {
  readonly owner: RequestId;
  readonly tokens: number;
}

/**
 * Which sequence holds which slot of the KV cache, and how many tokens of it. Integers only: the tensors are the
 * runner's. A slot holds one sequence of at most `tokensPerSlot` tokens.
 */
export class KvCache {
  readonly #reservations: (Reservation | undefined)[];
  /** Slots nobody holds, the next to hand out last. */
  readonly #free: number[];
  #tokensReserved = 0;

  constructor(
    readonly slots: number,
    readonly tokensPerSlot: number,
  ) {
    this.#reservations = new Array<Reservation | undefined>(slots).fill(undefined);
    this.#free = Array.from({ length: slots }, (_, index) => slots - 1 - index);
  }

  get tokensTotal(): number {
    return this.slots * this.tokensPerSlot;
  }

  get tokensReserved(): number {
    return this.#tokensReserved;
  }

  /** Reserved share of all tokens, 0 to 1. */
  get utilization(): number {
    return this.#tokensReserved / this.tokensTotal;
  }

  /** True when a sequence of this length could ever be held. */
  fits(tokens: number): boolean {
    return tokens <= this.tokensPerSlot;
  }

  /** The slot now held by `owner`, or undefined when there is none free at the moment. */
  reserve(owner: RequestId, tokens: number): number | undefined {
    if (!this.fits(tokens)) throw new Error(`A reservation of ${tokens} tokens exceeds a slot's ${this.tokensPerSlot}`);
    const slot = this.#free.pop();
    if (slot === undefined) return undefined;
    this.#reservations[slot] = { owner, tokens };
    this.#tokensReserved += tokens;
    return slot;
  }

  release(slot: number): void {
    const reservation = this.#reservations[slot];
    if (reservation === undefined) throw new Error(`Slot ${slot} was released, but nobody holds it`);
    this.#reservations[slot] = undefined;
    this.#tokensReserved -= reservation.tokens;
    this.#free.push(slot);
  }

  /** Who holds the slot. */
  ownerOf(slot: number): RequestId | undefined {
    return this.#reservations[slot]?.owner;
  }

  /** Throws unless free + owned = all, and nothing is owned twice. */
  checkInvariants(): void {
    const held = this.#reservations.filter((reservation) => reservation !== undefined);
    const owners = new Set(held.map((reservation) => reservation.owner));
    const tokens = held.reduce((sum, reservation) => sum + reservation.tokens, 0);
    const problems: string[] = [];
    if (held.length + this.#free.length !== this.slots) problems.push("free + owned slots are not all slots");
    if (new Set(this.#free).size !== this.#free.length) problems.push("a slot is free twice");
    if (this.#free.some((slot) => this.#reservations[slot] !== undefined)) problems.push("a free slot is owned");
    if (owners.size !== held.length) problems.push("a sequence owns two slots");
    if (tokens !== this.#tokensReserved) problems.push("reserved tokens do not add up");
    if (problems.length > 0) throw new Error(`KvCache: ${problems.join("; ")}`);
  }
}
