import type { CacheGrowth, ForwardStats, GrowthFallback, RequestEvent } from "../../protocol.js";
import type { MemoryPool } from "../cache/memory-pool.js";
import type { Sequence } from "./sequence.js";

/** Tells the requests concerned of the cache's growth, in bytes. */
export class GrowthReport {
  constructor(
    private readonly pool: Pick<MemoryPool, "growing" | "takeGrowth">,
    private readonly bytesPerCell: number,
    private readonly emit: (event: RequestEvent) => void,
  ) {}

  /** What happened since the last call, if anything did. @param fallback what is done where memory was refused */
  take(fallback: GrowthFallback): CacheGrowth | undefined {
    const growth = this.pool.takeGrowth();
    if (growth === undefined) return undefined;
    const { start, end, from, to, refused } = growth;
    const bytes = refused * this.bytesPerCell;
    const sizes = { fromBytes: from * this.bytesPerCell, toBytes: to * this.bytesPerCell };
    return { start, end, ...sizes, ...(refused === 0 ? {} : { refused: { bytes, fallback } }) };
  }

  /** The same, as an event of the request that made it happen. */
  tell({ id }: Sequence, fallback: GrowthFallback): void {
    const growth = this.take(fallback);
    if (growth !== undefined) this.emit({ type: "cache_growth", id, growth });
  }

  /** The phase that now ends also took what growth there was in it, for whomever. */
  within(sequence: Sequence, forward: ForwardStats | undefined): ForwardStats | undefined {
    const growth = this.pool.growing - sequence.growthBefore;
    return forward === undefined || growth === 0 ? forward : { ...forward, cacheGrowthMs: growth / 1e3 };
  }
}
