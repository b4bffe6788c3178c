import type { EncodedSpan } from "../export/zipkin-json.js";
import { readSpan, type StoredTrace } from "./stored-trace.js";

/** The parameters of Zipkin's `/traces`, checked (https://zipkin.io/zipkin-api/zipkin2-api.yaml). */
export interface TraceQuery {
  readonly serviceName?: string;
  readonly remoteServiceName?: string;
  readonly spanName?: string;
  /** Tag or annotation names to wanted values; an empty value asks only that the name is there. */
  readonly annotations: ReadonlyMap<string, string>;
  /** Microseconds. */
  readonly minDuration?: number;
  readonly maxDuration?: number;
  /** Milliseconds. */
  readonly endTs: number;
  readonly lookback: number;
  readonly limit: number;
}

export class QueryError extends Error {}

const DAY_MS = 86_400_000;

/** @throws QueryError saying which parameter is wrong */
export function parseTraceQuery(parameters: URLSearchParams, now: number): TraceQuery {
  const minDuration = positive(parameters, "minDuration");
  const maxDuration = positive(parameters, "maxDuration");
  if (maxDuration !== undefined && minDuration === undefined) {
    throw new QueryError("maxDuration is only valid with minDuration");
  }
  if (maxDuration !== undefined && minDuration !== undefined && maxDuration < minDuration) {
    throw new QueryError("maxDuration < minDuration");
  }
  const spanName = nameOf(parameters, "spanName");
  return {
    ...present("serviceName", nameOf(parameters, "serviceName")),
    ...present("remoteServiceName", nameOf(parameters, "remoteServiceName")),
    ...present("spanName", spanName === "all" ? undefined : spanName),
    annotations: parseAnnotationQuery(parameters.get("annotationQuery") ?? ""),
    ...present("minDuration", minDuration),
    ...present("maxDuration", maxDuration),
    endTs: positive(parameters, "endTs") ?? now,
    lookback: positive(parameters, "lookback") ?? DAY_MS,
    limit: positive(parameters, "limit") ?? 10,
  };
}

/** `endTs`, which `/dependencies` insists on, and `lookback`, in milliseconds. */
export function parseWindow(parameters: URLSearchParams): { readonly endTs: number; readonly lookback: number } {
  const endTs = positive(parameters, "endTs");
  if (endTs === undefined) throw new QueryError("endTs is required, in epoch milliseconds");
  return { endTs, lookback: positive(parameters, "lookback") ?? DAY_MS };
}

function present<Name extends string, Value>(name: Name, value: Value | undefined): { [key in Name]?: Value } {
  return value === undefined ? {} : ({ [name]: value } as { [key in Name]: Value });
}

function nameOf(parameters: URLSearchParams, name: string): string | undefined {
  const text = parameters.get(name)?.toLowerCase();
  return text === "" ? undefined : text;
}

function positive(parameters: URLSearchParams, name: string): number | undefined {
  const text = parameters.get(name);
  if (text === null || text === "") return undefined;
  if (!/^-?\d{1,15}$/.test(text)) throw new QueryError(`${name} is not a whole number`);
  if (Number(text) <= 0) throw new QueryError(`${name} <= 0`);
  return Number(text);
}

/** `error and http.method=POST`: terms joined by " and "; of two for one tag the last with a value holds. */
function parseAnnotationQuery(text: string): Map<string, string> {
  const wanted = new Map<string, string>();
  for (const term of text === "" ? [] : text.split(" and ")) {
    const equals = term.indexOf("=");
    if (equals !== -1) wanted.set(term.slice(0, equals).trim(), term.slice(equals + 1).trim());
    else if (!wanted.has(term.trim())) wanted.set(term.trim(), "");
  }
  return wanted;
}

export function inWindow({ began }: StoredTrace, { endTs, lookback }: { endTs: number; lookback: number }): boolean {
  return began >= (endTs - lookback) * 1e3 && began <= endTs * 1e3;
}

/**
 * Whether the trace answers the query. Conditions may be met by different spans, but with a service name only by
 * spans of that service.
 */
export function matches(trace: StoredTrace, query: TraceQuery): boolean {
  if (!inWindow(trace, query)) return false;
  const { remoteServiceName, spanName } = query;
  const wanted = query.serviceName;
  const spans =
    wanted === undefined ? trace.summaries : trace.summaries.filter(({ serviceName }) => serviceName === wanted);
  return (
    spans.length > 0 &&
    (spanName === undefined || spans.some(({ name }) => name === spanName)) &&
    (remoteServiceName === undefined || spans.some((span) => span.remoteServiceName === remoteServiceName)) &&
    spans.some((span) => hasDuration(span, query)) &&
    [...query.annotations].every(([name, value]) => spans.some((span) => hasAnnotation(span, name, value)))
  );
}

function hasDuration({ duration }: EncodedSpan, { minDuration = 0, maxDuration = Infinity }: TraceQuery): boolean {
  return duration >= minDuration && duration <= maxDuration;
}

function hasAnnotation(encoded: EncodedSpan, name: string, value: string): boolean {
  // The JSON of a span that has it contains it, so most are not read.
  if (!encoded.json.includes(JSON.stringify(name))) return false;
  if (value !== "" && !encoded.json.includes(JSON.stringify(value))) return false;
  const { tags, annotations = [] } = readSpan(encoded);
  const tag = tags?.[name];
  if (value !== "") return tag === value;
  return tag !== undefined || annotations.some((annotation) => annotation.value === name);
}
