import type { CacheHolder, CacheSlot } from "./cache-slot.js";
import { commonPrefix } from "./prefix.js";

/** A slot that begins as a request does, and for how many tokens. */
export interface PrefixMatch {
  readonly slot: number;
  readonly length: number;
}

/**
 * The slot that has the most of `holder`'s first tokens; its last is always fed, as its logits are wanted. A runner that
 * does not rewind can only go on after the whole of what a slot has, and only where nobody else goes on.
 */
export function bestMatch(slots: readonly CacheSlot[], holder: CacheHolder, rewinds: boolean): PrefixMatch | undefined {
  const wanted = holder.tokens.view(0, holder.tokens.length - 1);
  let best: PrefixMatch | undefined;
  for (const [slot, entry] of slots.entries()) {
    const length = entry === undefined ? 0 : sharedBy(entry, holder.salt, wanted, rewinds);
    if (length > (best?.length ?? 0)) best = { slot, length };
  }
  return best;
}

function sharedBy(entry: NonNullable<CacheSlot>, salt: string, wanted: Int32Array, rewinds: boolean): number {
  if (entry.kind === "held") {
    const { holder } = entry;
    if (!rewinds || holder.salt !== salt) return 0;
    return commonPrefix(holder.tokens.view(0, holder.cached), wanted);
  }
  if (entry.salt !== salt) return 0;
  const length = commonPrefix(entry.tokens, wanted);
  return rewinds || length === entry.tokens.length ? length : 0;
}
