import { TraceFlags } from "@opentelemetry/api";
import { parseSpanId, parseTraceId, RANDOM_ID_FLAG, type SamplingState, zipkinTraceId } from "./trace-context.js";
import { VendorList } from "./trace-state.js";

/** A format of headers that outgoing calls and responses carry; incoming ones are accepted in every format. */
export type PropagationFormat = "b3multi" | "b3" | "w3c";

/**
 * Reading and writing trace headers: B3 multi, B3 single (https://github.com/openzipkin/b3-propagation) and
 * W3C trace context (https://www.w3.org/TR/trace-context/).
 *
 * Several at once: the first of `b3`, `X-B3-*`, `traceparent` with valid ids gives the ids (a mesh rewrites the
 * B3 headers at every hop and leaves `traceparent` alone, so B3 is the nearer parent). A decision without ids
 * (`b3: 0`, a lone `X-B3-Sampled`) in a header that precedes it overrides the decision that came with the ids.
 * What is malformed counts as absent. Nothing throws, whatever the bytes.
 */
export interface TraceIds {
  /** 32 and 16 lower-case hex digits. */
  readonly traceId: string;
  readonly spanId: string;
}

export interface TraceHeaders {
  readonly ids?: TraceIds;
  readonly sampling: SamplingState;
  /** W3C's vendor list, passed through. */
  readonly traceState?: VendorList;
  /** The trace id's low 56 bits are random, as whoever made it says; known from W3C only. */
  readonly randomId?: true;
}

export type HeaderReader = (name: string) => string | undefined;

/** Carries in `tracestate` what the one bit of `traceparent` cannot: `debug`, and `defer`. */
const STATE_KEY = "vitrine";

export const PROPAGATION_FIELDS: Readonly<Record<PropagationFormat, readonly string[]>> = {
  b3multi: ["x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags"],
  b3: ["b3"],
  w3c: ["traceparent", "tracestate"],
};

const B3_SINGLE = /^([0-9a-f]{16,32})-([0-9a-f]{16})(?:-([01d])(?:-[0-9a-f]{16})?)?$/;
const B3_STATES: Readonly<Record<string, SamplingState>> = { "0": "deny", "1": "accept", d: "debug" };

function ids(traceText: string | undefined, spanText: string | undefined): TraceIds | undefined {
  const traceId = parseTraceId(traceText ?? "");
  const spanId = parseSpanId(spanText ?? "");
  return traceId === undefined || spanId === undefined ? undefined : { traceId, spanId };
}

function readB3Single(read: HeaderReader): TraceHeaders | undefined {
  const value = read("b3")?.trim();
  if (value === undefined) return undefined;
  if (value.length === 1) {
    const lone = B3_STATES[value];
    return lone === undefined ? undefined : { sampling: lone };
  }
  const match = B3_SINGLE.exec(value);
  const found = match === null ? undefined : ids(match[1], match[2]);
  if (found === undefined) return undefined;
  return { ids: found, sampling: B3_STATES[match?.[3] ?? ""] ?? "defer" };
}

function readB3Multi(read: HeaderReader): TraceHeaders | undefined {
  const sampled = read("x-b3-sampled")?.trim().toLowerCase();
  let sampling: SamplingState = "defer";
  // Before the specification settled on digits, some tracers wrote words.
  if (sampled === "0" || sampled === "false") sampling = "deny";
  if (sampled === "1" || sampled === "true") sampling = "accept";
  if (read("x-b3-flags")?.trim() === "1") sampling = "debug";
  const found = ids(read("x-b3-traceid")?.trim(), read("x-b3-spanid")?.trim());
  if (found === undefined) return sampling === "defer" ? undefined : { sampling };
  return { ids: found, sampling };
}

const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

function readW3c(read: HeaderReader): TraceHeaders | undefined {
  const match = TRACEPARENT.exec(read("traceparent")?.trim() ?? "");
  if (match === null) return undefined;
  const [, version, traceText, spanText, flags, rest] = match;
  // Version 00 has exactly four fields; later ones may append some; ff is forbidden.
  if (version === "ff" || (version === "00" && rest !== undefined)) return undefined;
  const found = ids(traceText, spanText);
  if (found === undefined) return undefined;
  const traceState = VendorList.parse(read("tracestate"));
  const bits = Number.parseInt(flags ?? "0", 16);
  const sampled = (bits & TraceFlags.SAMPLED) !== 0;
  const noted = traceState?.get(STATE_KEY);
  let sampling: SamplingState = sampled ? "accept" : "deny";
  if (sampled && noted === "debug") sampling = "debug";
  if (!sampled && noted === "defer") sampling = "defer";
  return {
    ids: found,
    sampling,
    ...(traceState === undefined ? {} : { traceState }),
    ...((bits & RANDOM_ID_FLAG) === 0 ? {} : { randomId: true }),
  };
}

/** Reads whatever the caller sent. `read` gets lower-case names. */
export function readHeaders(read: HeaderReader): TraceHeaders {
  const w3c = readW3c(read);
  const found = [readB3Single(read), readB3Multi(read), w3c].filter((one) => one !== undefined);
  const withIds = found.find((one) => one.ids !== undefined);
  const first = found[0];
  const sampling = first?.sampling ?? "defer";
  if (withIds?.ids === undefined) return { sampling };
  const ofTrace = w3c?.ids?.traceId === withIds.ids.traceId ? w3c : {};
  return { ...ofTrace, ids: withIds.ids, sampling: first?.ids === undefined ? sampling : withIds.sampling };
}

const B3_CODES: Readonly<Record<SamplingState, string | undefined>> = {
  defer: undefined,
  deny: "0",
  accept: "1",
  debug: "d",
};

/** The headers that say `headers` in each of `formats`. A decision without ids has no form in W3C and gives none there. */
export function writeHeaders(headers: TraceHeaders, ...formats: readonly PropagationFormat[]): Record<string, string> {
  return Object.assign({}, ...formats.map((format) => writeFormat(headers, format)));
}

function writeFormat(headers: TraceHeaders, format: PropagationFormat): Record<string, string> {
  if (format === "b3multi") return writeB3Multi(headers);
  if (format === "b3") return writeB3Single(headers);
  return headers.ids === undefined ? {} : writeW3c(headers.ids, headers);
}

function writeB3Multi({ ids, sampling }: TraceHeaders): Record<string, string> {
  const out: Record<string, string> = {};
  if (ids !== undefined) {
    out["x-b3-traceid"] = zipkinTraceId(ids.traceId);
    out["x-b3-spanid"] = ids.spanId;
  }
  if (sampling === "debug") out["x-b3-flags"] = "1";
  else if (sampling !== "defer") out["x-b3-sampled"] = sampling === "accept" ? "1" : "0";
  return out;
}

function writeB3Single({ ids, sampling }: TraceHeaders): Record<string, string> {
  const code = B3_CODES[sampling];
  if (ids === undefined) return code === undefined ? {} : { b3: code };
  const base = `${zipkinTraceId(ids.traceId)}-${ids.spanId}`;
  return { b3: code === undefined ? base : `${base}-${code}` };
}

function writeW3c(ids: TraceIds, { sampling, traceState, randomId }: TraceHeaders): Record<string, string> {
  const sampled = sampling === "accept" || sampling === "debug";
  const others = (traceState ?? VendorList.empty).unset(STATE_KEY);
  const state = sampling === "debug" || sampling === "defer" ? others.set(STATE_KEY, sampling) : others;
  const list = state.serialize();
  const flags = (sampled ? TraceFlags.SAMPLED : TraceFlags.NONE) | (randomId ? RANDOM_ID_FLAG : 0);
  return {
    traceparent: `00-${ids.traceId}-${ids.spanId}-0${flags}`,
    ...(list === "" ? {} : { tracestate: list }),
  };
}
