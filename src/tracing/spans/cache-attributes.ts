import type { AllocationStats, CacheGrowth, DeviceChoice } from "../../protocol.js";
import { cacheDeviceName } from "./device-attributes.js";
import type { SpanAttributes } from "./open-span.js";
import { rounded } from "./span-maker.js";

/** What one request reserved of the KV cache, and what that took. */
export function allocationAttributes(allocation: AllocationStats, device: DeviceChoice | undefined): SpanAttributes {
  const { tokens, bytes, reusedTokens, evictedTokens, waitMs, poolBytes, poolUtilization, growth } = allocation;
  const bytesOf = (some: number): number => Math.round((some * bytes) / tokens);
  return {
    "ai.kv.tokens": tokens,
    "ai.kv.bytes": bytes,
    "ai.kv.reused_tokens": reusedTokens,
    "ai.kv.reused_bytes": bytesOf(reusedTokens),
    "ai.kv.evicted": evictedTokens,
    "ai.kv.evicted_bytes": bytesOf(evictedTokens),
    "ai.kv.wait_ms": rounded(waitMs, 3),
    "ai.kv.pool_bytes": poolBytes,
    "ai.kv.pool_utilization": rounded(poolUtilization, 4),
    "ai.kv.device": cacheDeviceName(device),
    ...(growth === undefined ? {} : growthAttributes(growth)),
  };
}

/** How the memory grew by it, and how much there was not. */
export function growthAttributes({ start, end, fromBytes, toBytes, refused }: CacheGrowth): SpanAttributes {
  return {
    "ai.kv.growth_bytes": toBytes - fromBytes,
    "ai.kv.growth_ms": rounded((end - start) / 1e3, 3),
    "ai.kv.refused_bytes": refused?.bytes,
    "ai.kv.fallback": refused?.fallback,
  };
}
