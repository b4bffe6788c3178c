import type { LatencyName, LoadPoint, RequestRecord } from "../result.js";
import { latenciesOf } from "./latencies.js";

/** A request's values of a metric, in milliseconds: gaps between chunks are many, all others at most one. */
export function valuesOf(record: RequestRecord, name: LatencyName): readonly number[] {
  if (name === "itl") return record.gaps;
  const value = latenciesOf(record)[name];
  return value === undefined ? [] : [value];
}

/** Of the requests that were answered: what failed fast would make a bad server look good. */
export function pointValues(point: LoadPoint, name: LatencyName): readonly number[] {
  return point.requests.filter(({ outcome }) => outcome.kind === "ok").flatMap((record) => valuesOf(record, name));
}
