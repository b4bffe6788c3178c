import type { HrTime } from "@opentelemetry/api";
import { SpanKind, SpanStatusCode, TraceFlags } from "@opentelemetry/api";
import { ExportResultCode } from "@opentelemetry/core";
import { ZipkinExporter } from "@opentelemetry/exporter-zipkin";
import { emptyResource } from "@opentelemetry/resources";
import type { ReadableSpan } from "@opentelemetry/sdk-trace-node";
import type { Sender, SendResult } from "./sender.js";
import type { ZipkinSpan } from "./zipkin-span.js";

/**
 * Sends through the stock `@opentelemetry/exporter-zipkin`, to compare with. It cannot say `remoteEndpoint`,
 * `ipv4`/`port` or `debug`, pads 64-bit trace ids, and tells no status apart.
 */
export class StockSender implements Sender {
  readonly target: string;
  readonly #exporter: ZipkinExporter;

  constructor(endpoint: string, headers: Readonly<Record<string, string>> = {}) {
    const url = new URL(endpoint);
    this.target = `${url.origin}${url.pathname}`;
    this.#exporter = new ZipkinExporter({ url: endpoint, headers: { ...headers, b3: "0" } });
  }

  send(spans: readonly string[], timeoutMs: number): Promise<SendResult> {
    return new Promise((resolve) => {
      const timer = setTimeout(
        () => resolve({ ok: false, cause: "timeout", reason: `no answer within ${timeoutMs} ms` }),
        timeoutMs,
      );
      this.#exporter.export(
        spans.map((json) => readable(JSON.parse(json) as ZipkinSpan)),
        ({ code, error }) => {
          clearTimeout(timer);
          const reason = error?.message ?? "no reason given";
          resolve(code === ExportResultCode.SUCCESS ? { ok: true } : { ok: false, cause: "connection_failed", reason });
        },
      );
    });
  }

  close(): void {
    void this.#exporter.shutdown();
  }
}

function hrTime(micros: number): HrTime {
  const seconds = Math.floor(micros / 1e6);
  return [seconds, (micros - seconds * 1e6) * 1e3];
}

/** The parts of OpenTelemetry's span that the stock exporter reads. */
function readable(span: ZipkinSpan): ReadableSpan {
  const flags = { traceFlags: TraceFlags.SAMPLED };
  const traceId = span.traceId.padStart(32, "0");
  const { error, ...tags } = span.tags ?? {};
  return {
    name: span.name,
    kind: span.kind === undefined ? SpanKind.INTERNAL : SpanKind[span.kind],
    spanContext: () => ({ traceId, spanId: span.id, ...flags }),
    ...(span.parentId === undefined ? {} : { parentSpanContext: { traceId, spanId: span.parentId, ...flags } }),
    startTime: hrTime(span.timestamp),
    endTime: hrTime(span.timestamp + span.duration),
    duration: hrTime(span.duration),
    ended: true,
    status: error === undefined ? { code: SpanStatusCode.UNSET } : { code: SpanStatusCode.ERROR, message: error },
    attributes: { ...tags, "service.name": span.localEndpoint.serviceName ?? "unknown" },
    events: (span.annotations ?? []).map(({ timestamp, value }) => ({ name: value, time: hrTime(timestamp) })),
    links: [],
    resource: emptyResource(),
    instrumentationScope: { name: "vitrine" },
    droppedAttributesCount: 0,
    droppedEventsCount: 0,
    droppedLinksCount: 0,
  };
}
