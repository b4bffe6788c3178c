import { type HrTime, SpanStatusCode, TraceFlags } from "@opentelemetry/api";
import { ExportResultCode } from "@opentelemetry/core";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { type Resource, resourceFromAttributes } from "@opentelemetry/resources";
import type { ReadableSpan } from "@opentelemetry/sdk-trace-node";
import { resultOf } from "./http-sender.js";
import type { Sender, SendResult } from "./sender.js";
import type { SpanRecord } from "./span-record.js";
import { tlsFailure } from "./tls-failure.js";
import { stampsOf } from "./tls-files.js";

/** OpenTelemetry's variables for files of certificates; those for traces alone come before those for all signals. */
const TLS_VARIABLES = ["CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY"].map(
  (name) => [`OTEL_EXPORTER_OTLP_TRACES_${name}`, `OTEL_EXPORTER_OTLP_${name}`] as const,
);

/** The files as they are now, to be compared. */
const tlsStamp = (): string => stampsOf(TLS_VARIABLES.map(([own, all]) => process.env[own] ?? process.env[all]));

/**
 * Sends OTLP over HTTP (protobuf, gzip) through the stock exporter, which reads certificates and compression from
 * `OTEL_EXPORTER_OTLP_*` itself, once: where the files changed since, another one is made. Its spans are `SpanRecord`s as
 * JSON: OTLP has typed attributes, Zipkin's tags are text.
 */
export class OtlpSender implements Sender {
  readonly target: string;
  readonly #resource: Resource;
  #exporter: OTLPTraceExporter;
  #stamp: string;

  constructor(
    private readonly endpoint: string,
    private readonly headers: Readonly<Record<string, string>>,
    resource: Readonly<Record<string, string>>,
  ) {
    const url = new URL(endpoint);
    this.target = `${url.origin}${url.pathname}`;
    this.#stamp = tlsStamp();
    this.#exporter = this.#createExporter();
    this.#resource = resourceFromAttributes(resource);
  }

  send(spans: readonly string[], timeoutMs: number): Promise<SendResult> {
    this.#rotate();
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

  /** A file that is read half written fails that POST, which is tried again. */
  #rotate(): void {
    const stamp = tlsStamp();
    if (stamp === this.#stamp) return;
    this.#stamp = stamp;
    void this.#exporter.shutdown();
    this.#exporter = this.#createExporter();
  }

  #createExporter(): OTLPTraceExporter {
    // As everywhere: no spans about our reports, in whichever format the collector reads.
    return new OTLPTraceExporter({ url: this.endpoint, headers: { ...this.headers, b3: "0" } });
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
