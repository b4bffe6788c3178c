import type { KvCache } from "../cache/kv-cache.js";
import type { RequestQueue } from "./request-queue.js";
import type { RunningSet } from "./running-set.js";
import type { Sequence } from "./sequence.js";

/** Throws unless queue, running set and cache agree. */
export function checkPool(
  pool: { readonly waiting: RequestQueue<Sequence>; readonly running: RunningSet; readonly size: number },
  cache: KvCache,
): void {
  cache.checkInvariants();
  const problems: string[] = [];
  const waiting = [...pool.waiting];
  const running = [...pool.running];
  const { prefilling, decoding } = pool.running;
  if (waiting.some(({ state, slot, cached }) => state !== "waiting" || slot !== undefined || cached > 0))
    problems.push("a waiting sequence is not waiting, or holds a slot");
  if (running.some(({ slot, id }) => cache.ownerOf(slot ?? -1) !== id))
    problems.push("a running sequence does not own its slot");
  if (cache.owners !== running.length) problems.push("a slot is held by a sequence that does not run");
  if (prefilling.some(({ state, uncached }) => state !== "prefill" || uncached < 1))
    problems.push("a prefilling sequence has nothing to prefill");
  if (decoding.some(({ state, uncached }) => state !== "decode" || uncached !== 1))
    problems.push("a decoding sequence lacks more than its last token");
  if (running.some(({ tokens, mostTokens }) => tokens.length > mostTokens)) problems.push("a sequence is too long");
  if (pool.size !== waiting.length + running.length) problems.push("live is not waiting + running");
  if (problems.length > 0) throw new Error(`SequencePool: ${problems.join("; ")}`);
}
