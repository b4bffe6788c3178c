import { type HrTime, SpanStatusCode, TraceFlags } from "@opentelemetry/api";
import { ExportResultCode } from "@opentelemetry/core";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { type Resource, resourceFromAttributes } from "@opentelemetry/resources";
import type { ReadableSpan } from "@opentelemetry/sdk-trace-node";
import { resultOf } from "./http-sender.js";
import type { Sender, SendResult } from "./sender.js";
import type { SpanRecord } from "./span-record.js";
import { tlsFailure } from "./tls-failure.js";

/**
 * Sends OTLP over HTTP (protobuf, gzip) through the stock exporter, which reads certificates and compression from
 * `OTEL_EXPORTER_OTLP_*` itself. Its spans are `SpanRecord`s as JSON: OTLP has typed attributes, Zipkin's tags are text.
 */
export class OtlpSender implements Sender {
  readonly target: string;
  readonly #exporter: OTLPTraceExporter;
  readonly #resource: Resource;

  constructor(endpoint: string, headers: Readonly<Record<string, string>>, resource: Readonly<Record<string, string>>) {
    const url = new URL(endpoint);
    this.target = `${url.origin}${url.pathname}`;
    // As everywhere: no spans about our reports, in whichever format the collector reads.
    this.#exporter = new OTLPTraceExporter({ url: endpoint, headers: { ...headers, b3: "0" } });
    this.#resource = resourceFromAttributes(resource);
  }

  send(spans: readonly string[], timeoutMs: number): Promise<SendResult> {
    return new Promise((resolve) => {
      const timeout: SendResult = { ok: false, cause: "timeout", reason: `no answer within ${timeoutMs} ms` };
      const timer = setTimeout(() => resolve(timeout), timeoutMs);
      const records = spans.map((json) => readable(JSON.parse(json) as SpanRecord, this.#resource));
      this.#exporter.export(records, ({ code, error }) => {
        clearTimeout(timer);
        resolve(code === ExportResultCode.SUCCESS ? { ok: true } : failureOf(error));
      });
    });
  }

  close(): void {
    void this.#exporter.shutdown();
  }
}

/** The stock exporter gives a status, a socket's code, or neither: then it was told to come later, in every attempt. */
function failureOf(error: (Error & { code?: unknown }) | undefined): SendResult {
  const code = error?.code;
  if (typeof code === "number") return resultOf(code, 0);
  if (error?.message === "Request timed out") return { ok: false, cause: "timeout", reason: "no answer in time" };
  if (typeof code !== "string") return { ok: false, cause: "server_error", reason: "HTTP status 429, 502, 503 or 504" };
  const tls = tlsFailure(error as NodeJS.ErrnoException, undefined, 0);
  return { ok: false, cause: tls === undefined ? "connection_failed" : "tls_failed", reason: tls ?? code };
}

/** One object: the stock exporter groups spans by its identity. */
const SCOPE = { name: "vitrine" };

function hrTime(micros: number): HrTime {
  const seconds = Math.floor(micros / 1e6);
  return [seconds, Math.round((micros - seconds * 1e6) * 1e3)];
}

/** The parts of OpenTelemetry's span that the stock exporter reads. */
function readable(span: SpanRecord, resource: Resource): ReadableSpan {
  const context = (spanId: string) => ({ traceId: span.traceId, spanId, traceFlags: TraceFlags.SAMPLED });
  return {
    name: span.name,
    kind: span.kind,
    spanContext: () => context(span.spanId),
    ...(span.parentId === undefined ? {} : { parentSpanContext: context(span.parentId) }),
    startTime: hrTime(span.start),
    endTime: hrTime(span.end),
    duration: hrTime(span.end - span.start),
    ended: true,
    status: span.failed ? { code: SpanStatusCode.ERROR, message: span.statusMessage } : { code: SpanStatusCode.UNSET },
    attributes: Object.fromEntries(
      Object.entries(span.attributes).map(([name, value]) => [name, typeof value === "object" ? [...value] : value]),
    ),
    events: span.events.map(({ at, name }) => ({ name, time: hrTime(at) })),
    links: [],
    resource,
    instrumentationScope: SCOPE,
    droppedAttributesCount: 0,
    droppedEventsCount: 0,
    droppedLinksCount: 0,
  };
}
