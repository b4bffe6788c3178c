import { isIP } from "node:net";
import { SpanKind } from "@opentelemetry/api";
import { zipkinTraceId } from "../context/trace-context.js";
import type { AttributeValue, SpanRecord } from "./span-record.js";
import type { ZipkinEndpoint, ZipkinSpan } from "./zipkin-span.js";

/**
 * A span as Zipkin v2 JSON, and what is most asked of it. Collectors and the trace store share the text: a few objects a
 * span, where the span itself would be dozens, is what keeps garbage collection short with thousands of them kept.
 */
export interface EncodedSpan {
  /** A `ZipkinSpan`. */
  readonly json: string;
  /** Of `json` in UTF-8. */
  readonly bytes: number;
  readonly traceId: string;
  readonly isRoot: boolean;
  /** Names are in lower case here, as Zipkin indexes them. */
  readonly name: string;
  readonly serviceName: string | undefined;
  readonly remoteServiceName: string | undefined;
  /** Whole microseconds. */
  readonly timestamp: number;
  readonly duration: number;
}

const KINDS: Readonly<Record<number, NonNullable<ZipkinSpan["kind"]>>> = {
  [SpanKind.CLIENT]: "CLIENT",
  [SpanKind.SERVER]: "SERVER",
  [SpanKind.PRODUCER]: "PRODUCER",
  [SpanKind.CONSUMER]: "CONSUMER",
};

/** These make up `remoteEndpoint` and are not repeated as tags. */
const REMOTE = { service: "peer.service", address: "network.peer.address", port: "network.peer.port" } as const;

/** Tags with their names, encoded already. */
type Resource = readonly (readonly [name: string, tag: string])[];

/** Encodes the spans of one service. */
export class ZipkinEncoder {
  readonly #local: string;
  readonly #serviceName: string | undefined;
  readonly #resource: Resource;

  /** @param resource tags of every span of this process; a span's own go before */
  constructor(localEndpoint: ZipkinEndpoint, resource: Readonly<Record<string, string>> = {}) {
    this.#local = JSON.stringify(localEndpoint);
    this.#serviceName = localEndpoint.serviceName?.toLowerCase();
    this.#resource = Object.entries(resource).map(([name, value]) => [name, `${quoted(name)}:${quoted(value)}`]);
  }

  encode(span: SpanRecord): EncodedSpan {
    const traceId = zipkinTraceId(span.traceId);
    const timestamp = Math.round(span.start);
    // Zipkin refuses a whole list for one 0.
    const duration = Math.max(1, Math.round(span.end) - timestamp);
    const remote = remoteOf(span.attributes);
    const kind = KINDS[span.kind];
    const json =
      `{"traceId":"${traceId}"` +
      (span.parentId === undefined ? "" : `,"parentId":"${span.parentId}"`) +
      `,"id":"${span.spanId}"` +
      (kind === undefined ? "" : `,"kind":"${kind}"`) +
      `,"name":${quoted(span.name)},"timestamp":${timestamp},"duration":${duration},"localEndpoint":${this.#local}` +
      (remote === undefined ? "" : `,"remoteEndpoint":${JSON.stringify(remote)}`) +
      annotationsOf(span) +
      tagsOf(span, this.#resource) +
      (span.debug ? `,"debug":true}` : "}");
    return {
      json,
      bytes: Buffer.byteLength(json),
      traceId,
      isRoot: span.parentId === undefined,
      name: span.name.toLowerCase(),
      serviceName: this.#serviceName,
      remoteServiceName: remote?.serviceName?.toLowerCase(),
      timestamp,
      duration,
    };
  }
}

/** Nearly all text is plain. */
const PLAIN = /^[ !#-[\]-~]*$/;

function quoted(text: string): string {
  return PLAIN.test(text) ? `"${text}"` : JSON.stringify(text);
}

function annotationsOf({ events }: SpanRecord): string {
  if (events.length === 0) return "";
  const items = events.map(({ at, name }) => `{"timestamp":${Math.round(at)},"value":${quoted(name)}}`);
  return `,"annotations":[${items.join(",")}]`;
}

function tagsOf({ attributes, failed, statusMessage }: SpanRecord, resource: Resource): string {
  let tags = "";
  for (const [name, tag] of resource) if (attributes[name] === undefined) tags += `${tags === "" ? "" : ","}${tag}`;
  for (const name in attributes) {
    if (name === REMOTE.service || name === REMOTE.address || name === REMOTE.port) continue;
    tags += `${tags === "" ? "" : ","}${quoted(name)}:${tagText(attributes[name] ?? "")}`;
  }
  if (failed && attributes.error === undefined) {
    // A failure without words is still a failure: Zipkin only looks whether the tag is there.
    tags += `${tags === "" ? "" : ","}"error":${quoted(statusMessage === "" ? "true" : statusMessage)}`;
  }
  return tags === "" ? "" : `,"tags":{${tags}}`;
}

/** Every tag is text. Lists become JSON, as OpenTelemetry asks of exporters whose format has none. */
function tagText(value: AttributeValue): string {
  if (typeof value === "string") return quoted(value);
  return typeof value === "object" ? JSON.stringify(JSON.stringify(value)) : `"${value}"`;
}

function remoteOf(attributes: SpanRecord["attributes"]): ZipkinEndpoint | undefined {
  const service = attributes[REMOTE.service];
  const address = attributes[REMOTE.address];
  const port = attributes[REMOTE.port];
  if (service === undefined && address === undefined && port === undefined) return undefined;
  const endpoint: ZipkinEndpoint = {
    ...(typeof service === "string" ? { serviceName: service } : {}),
    ...ipOf(address),
    ...(typeof port === "number" && port > 0 && port < 65_536 ? { port } : {}),
  };
  return Object.keys(endpoint).length === 0 ? undefined : endpoint;
}

function ipOf(address: AttributeValue | undefined): Pick<ZipkinEndpoint, "ipv4" | "ipv6"> {
  if (typeof address !== "string") return {};
  // What a dual-stack socket reports for an IPv4 peer.
  const plain = address.startsWith("::ffff:") && isIP(address.slice(7)) === 4 ? address.slice(7) : address;
  const version = isIP(plain);
  if (version === 4) return { ipv4: plain };
  return version === 6 ? { ipv6: plain } : {};
}
