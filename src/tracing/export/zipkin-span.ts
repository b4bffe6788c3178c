import { isIP } from "node:net";
import { SpanKind } from "@opentelemetry/api";
import { zipkinTraceId } from "../context/trace-context.js";
import type { AttributeValue, SpanRecord } from "./span-record.js";

/** Zipkin v2's endpoint (https://zipkin.io/zipkin-api/zipkin2-api.yaml). */
export interface ZipkinEndpoint {
  readonly serviceName?: string;
  readonly ipv4?: string;
  readonly ipv6?: string;
  readonly port?: number;
}

/** Zipkin v2's span: what collectors accept and the read API answers. */
export interface ZipkinSpan {
  readonly traceId: string;
  readonly id: string;
  readonly parentId?: string;
  readonly kind?: "CLIENT" | "SERVER" | "PRODUCER" | "CONSUMER";
  readonly name: string;
  /** Whole microseconds since the epoch. */
  readonly timestamp: number;
  /** Whole microseconds, at least 1: Zipkin refuses a whole list for one 0. */
  readonly duration: number;
  readonly localEndpoint: ZipkinEndpoint;
  readonly remoteEndpoint?: ZipkinEndpoint;
  readonly annotations?: readonly { readonly timestamp: number; readonly value: string }[];
  readonly tags?: Readonly<Record<string, string>>;
  readonly shared?: boolean;
  readonly debug?: boolean;
}

const KINDS: Readonly<Record<number, NonNullable<ZipkinSpan["kind"]>>> = {
  [SpanKind.CLIENT]: "CLIENT",
  [SpanKind.SERVER]: "SERVER",
  [SpanKind.PRODUCER]: "PRODUCER",
  [SpanKind.CONSUMER]: "CONSUMER",
};

/** These make up `remoteEndpoint` and are not repeated as tags. */
const REMOTE = { service: "peer.service", address: "network.peer.address", port: "network.peer.port" } as const;
const REMOTE_NAMES: ReadonlySet<string> = new Set(Object.values(REMOTE));

/** @param resource tags of every span of this process; a span's own go before */
export function toZipkinSpan(
  span: SpanRecord,
  localEndpoint: ZipkinEndpoint,
  resource: Readonly<Record<string, string>> = {},
): ZipkinSpan {
  const kind = KINDS[span.kind];
  const remoteEndpoint = remoteOf(span.attributes);
  const tags = { ...resource, ...tagsOf(span) };
  return {
    traceId: zipkinTraceId(span.traceId),
    ...(span.parentId === undefined ? {} : { parentId: span.parentId }),
    id: span.spanId,
    ...(kind === undefined ? {} : { kind }),
    name: span.name,
    timestamp: Math.round(span.start),
    duration: Math.max(1, Math.round(span.end) - Math.round(span.start)),
    localEndpoint,
    ...(remoteEndpoint === undefined ? {} : { remoteEndpoint }),
    ...(span.events.length === 0
      ? {}
      : { annotations: span.events.map(({ at, name }) => ({ timestamp: Math.round(at), value: name })) }),
    ...(Object.keys(tags).length === 0 ? {} : { tags }),
    ...(span.debug ? { debug: true } : {}),
  };
}

function tagsOf(span: SpanRecord): Record<string, string> {
  const tags: Record<string, string> = {};
  for (const [name, value] of Object.entries(span.attributes)) {
    if (!REMOTE_NAMES.has(name)) tags[name] = tagText(value);
  }
  // A failure without words is still a failure: Zipkin only looks whether the tag is there.
  if (span.failed) tags.error ??= span.statusMessage === "" ? "true" : span.statusMessage;
  return tags;
}

/** Lists become JSON, as OpenTelemetry asks of exporters whose format has none. */
function tagText(value: AttributeValue): string {
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function remoteOf(attributes: SpanRecord["attributes"]): ZipkinEndpoint | undefined {
  const service = attributes[REMOTE.service];
  const port = attributes[REMOTE.port];
  const endpoint: ZipkinEndpoint = {
    ...(typeof service === "string" ? { serviceName: service } : {}),
    ...ipOf(attributes[REMOTE.address]),
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
