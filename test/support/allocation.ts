import type { AllocationStats } from "../../src/protocol.js";

/** Of one token, with nothing else to tell. */
export const ONE_TOKEN: Omit<AllocationStats, "start" | "end"> = {
  tokens: 1,
  bytes: 1,
  reusedTokens: 0,
  evictedTokens: 0,
  waitMs: 0,
  poolBytes: 1,
  poolUtilization: 0,
};
