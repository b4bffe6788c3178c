import { medianSorted } from "simple-statistics";
import type { RequestRecord, TraceSummary } from "../result.js";
import type { RecordedRequest } from "./recorded-request.js";
import { meanParts, partsOf } from "./request-parts.js";
import type { ReadTraces } from "./trace-reader.js";

/** The slowest requests that are named. */
const SLOWEST = 10;

export interface PointTraces {
  readonly traces?: TraceSummary;
  /** Why there are none, in one sentence. */
  readonly tracesUnavailable?: string;
}

/** What the traces that were read back say of one load's requests. */
export function summarizeTraces(
  records: readonly RequestRecord[],
  read: ReadTraces,
  clientStored: boolean,
): PointTraces {
  if (read.kind === "unavailable") return { tracesUnavailable: read.why };
  const sent = records.filter((record): record is TracedRecord => record.traceId !== undefined);
  if (sent.length === 0) return { tracesUnavailable: "No request was traced." };
  const found = sent.flatMap((record) => {
    const request = read.traces.get(record.traceId);
    return request === undefined ? [] : [{ record, request }];
  });
  if (!found.some(({ request }) => request.server !== undefined)) {
    return { tracesUnavailable: "The target left no span of its own: completeness and parts do not apply to it." };
  }
  const complete = found.filter(({ request }) => isComplete(request, clientStored));
  const whole = new Set(complete.map(({ record }) => record.traceId));
  const coverages = complete.flatMap(({ request }) => (request.generate === undefined ? [] : (request.coverage ?? [])));
  coverages.sort((a, b) => a - b);
  const parts = complete
    .filter(({ record, request }) => record.outcome.kind === "ok" && request.generate !== undefined)
    .flatMap(({ record, request }) => partsOf(record, request) ?? []);
  return {
    traces: {
      sent: sent.length,
      complete: complete.length,
      missing: sent.flatMap(({ traceId }) => (whole.has(traceId) ? [] : [traceId])),
      orphans: found.reduce((sum, { request }) => sum + request.orphans(clientStored), 0),
      ...(coverages[0] === undefined ? {} : { coverage: { min: coverages[0], median: medianSorted(coverages) } }),
      ttft: meanParts(parts.flatMap(({ ttft }) => ttft ?? [])),
      e2e: meanParts(parts.map(({ e2e }) => e2e)),
      slowest: slowestOf(sent),
    },
  };
}

type TracedRecord = RequestRecord & { readonly traceId: string };

function isComplete(request: RecordedRequest, clientStored: boolean): boolean {
  return request.server !== undefined && (!clientStored || request.client !== undefined);
}

function slowestOf(records: readonly TracedRecord[]): TraceSummary["slowest"] {
  return records
    .filter(({ outcome }) => outcome.kind === "ok")
    .map(({ traceId, intended, end }) => ({ traceId, e2e: end - intended }))
    .sort((a, b) => b.e2e - a.e2e)
    .slice(0, SLOWEST);
}
