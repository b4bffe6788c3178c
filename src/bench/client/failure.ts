import type { Outcome } from "../result.js";

/** How an outcome is counted: `http 429`, `broken ECONNRESET`. Nothing for one that is no failure. */
export function failureOf(outcome: Outcome): string | undefined {
  if (outcome.kind === "http") return `http ${outcome.status}`;
  return outcome.kind === "broken" ? `broken ${outcome.reason}` : undefined;
}
