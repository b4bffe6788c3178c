/**
 * What is measured of one request, in milliseconds. All begin at the time the request was meant to be sent, whether or not
 * the harness came to send it then, so that a target that stalls cannot hide what it makes others wait.
 */
import type { LatencyName, RequestRecord, Slo } from "../result.js";

/** The latencies of an answered request; those that it has none of are absent. */
export function latenciesOf(record: RequestRecord): Partial<Record<Exclude<LatencyName, "itl">, number>> {
  const { intended, sent, firstToken, end, outputTokens = 0 } = record;
  return {
    queue: sent - intended,
    e2e: end - intended,
    ...(firstToken === undefined ? {} : { ttft: firstToken - intended }),
    // The first token's time is TTFT; what comes after it is shared by the others.
    ...(firstToken === undefined || outputTokens < 2 ? {} : { tpot: (end - firstToken) / (outputTokens - 1) }),
  };
}

/** Whether an answered request kept every limit. What a request has no value of, such as the TPOT of one token, it keeps. */
export function meets(record: RequestRecord, slos: readonly Slo[]): boolean {
  const latencies = latenciesOf(record);
  return slos.every(({ metric, limitMs }) => {
    const value = metric === "itl" ? longest(record.gaps) : latencies[metric];
    return value === undefined || value <= limitMs;
  });
}

const longest = (gaps: readonly number[]): number => gaps.reduce((most, gap) => Math.max(most, gap), 0);
