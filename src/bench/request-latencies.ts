import type { LatencyName, LoadPoint, RequestRecord } from "./result.js";

/** A request's values of a metric, in milliseconds: gaps between chunks are many, all others at most one. */
export function latenciesOf(record: RequestRecord, name: LatencyName): readonly number[] {
  const { intended, sent, firstToken, end, gaps, outputTokens } = record;
  switch (name) {
    case "queue":
      return [sent - intended];
    case "e2e":
      return [end - intended];
    case "itl":
      return gaps;
    case "ttft":
      return firstToken === undefined ? [] : [firstToken - intended];
    case "tpot":
      if (firstToken === undefined || outputTokens === undefined || outputTokens < 2) return [];
      return [(end - firstToken) / (outputTokens - 1)];
  }
}

/** Of the requests that succeeded: what failed fast would make a bad server look good. */
export function pointLatencies(point: LoadPoint, name: LatencyName): readonly number[] {
  return point.requests.filter(({ outcome }) => outcome.kind === "ok").flatMap((record) => latenciesOf(record, name));
}
