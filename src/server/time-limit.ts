import type { IncomingHttpHeaders } from "node:http";

/** What Envoy, and so Istio, sends along: how long the caller's side will wait for the answer. */
export const EXPECTED_TIMEOUT_HEADER = "x-envoy-expected-rq-timeout-ms";

/** How long a request may take, and whose word that is. */
export interface TimeLimit {
  readonly ms: number;
  readonly setBy: "--request-timeout" | typeof EXPECTED_TIMEOUT_HEADER;
}

/** The smaller of this server's limit and the proxy's, where that sent one that can be read. */
export function timeLimitOf(headers: IncomingHttpHeaders, requestTimeoutMs: number): TimeLimit {
  const header = headers[EXPECTED_TIMEOUT_HEADER];
  const expected = typeof header === "string" && /^\d{1,9}$/.test(header) ? Number(header) : 0;
  if (expected === 0 || expected >= requestTimeoutMs) return { ms: requestTimeoutMs, setBy: "--request-timeout" };
  return { ms: expected, setBy: EXPECTED_TIMEOUT_HEADER };
}
