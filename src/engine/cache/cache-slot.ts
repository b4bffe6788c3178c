import type { RequestId } from "../../protocol.js";
import type { TokenList } from "../scheduling/token-list.js";

/** Who holds a slot. */
export interface CacheHolder {
  readonly id: RequestId;
  /** Shares what it caches only with the same salt. */
  readonly salt: string;
  readonly tokens: TokenList;
  /** Its first tokens that the slot holds. */
  readonly cached: number;
}

export interface Held {
  readonly kind: "held";
  readonly holder: CacheHolder;
  /** Tokens it may grow to before it asks again. */
  room: number;
}

/** What a request left behind, for a later one that begins alike. */
export interface Kept {
  readonly kind: "kept";
  readonly tokens: Int32Array;
  readonly salt: string;
  /** Larger is later. */
  readonly since: number;
}

/** Undefined: free. */
export type CacheSlot = Held | Kept | undefined;
