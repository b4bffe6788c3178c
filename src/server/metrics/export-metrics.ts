import { Counter, Gauge } from "prom-client";
import type { ExportCounters, Tracing } from "../../tracing/contract.js";
import type { MetricsRegistry } from "./metrics-format.js";

type Row =
  | readonly [kind: "total" | "gauge", name: string, help: string, read: (counters: ExportCounters) => number]
  | readonly [kind: "causes", name: string, help: string, read: (counters: ExportCounters) => Counts];
type Counts = Readonly<Record<string, number>>;

/** Names are those that zipkin-reporter's metrics have in Prometheus, where it has them. */
const COUNTERS: readonly Row[] = [
  ["total", "zipkin_reporter_spans_total", "Spans ended", ({ ended }) => ended],
  ["total", "zipkin_reporter_spans_bytes_total", "Bytes of encoded spans", ({ spanBytes }) => spanBytes],
  ["causes", "zipkin_reporter_spans_dropped_total", "Spans not delivered, by cause", ({ dropped }) => dropped],
  ["gauge", "zipkin_reporter_queue_spans", "Spans waiting to be sent", ({ queued }) => queued],
  [
    "gauge",
    "zipkin_reporter_queue_bytes",
    "Bytes of encoded spans waiting to be sent",
    ({ queuedBytes }) => queuedBytes,
  ],
  ["total", "zipkin_reporter_messages_total", "POSTs of spans, repeated ones included", ({ messages }) => messages],
  ["total", "zipkin_reporter_messages_bytes_total", "Bytes of those, uncompressed", ({ messageBytes }) => messageBytes],
  [
    "causes",
    "zipkin_reporter_messages_dropped_total",
    "POSTs of spans that no collector took, by cause; the spans may have been sent again",
    ({ messagesDropped }) => messagesDropped,
  ],
  [
    "total",
    "vitrine_spans_delivered_total",
    "Spans a collector took; without one, spans the embedded store took",
    ({ delivered }) => delivered,
  ],
  [
    "total",
    "vitrine_span_attributes_dropped_total",
    "Attributes left out of spans because the allow-list has no such name, or another type for it",
    ({ attributesDropped }) => attributesDropped,
  ],
  ["total", "vitrine_spans_sampled_out_total", "Spans recorded and then not kept", ({ sampledOut }) => sampledOut],
  [
    "total",
    "vitrine_spans_recovered_total",
    "Spans found on disk at start, beside those that ended here",
    ({ recovered }) => recovered,
  ],
  ["gauge", "vitrine_spans_on_disk", "Spans kept on disk until a collector takes them", ({ spooled }) => spooled],
];

/** What becomes of spans. */
export function addExportMetrics(registry: MetricsRegistry, tracing: Tracing): void {
  for (const row of COUNTERS) addCounters(registry, tracing, row);
  destinationMetrics(registry, tracing);
}

function addCounters(registry: MetricsRegistry, tracing: Tracing, [kind, name, help, read]: Row): void {
  const common = { name, help, registers: [registry] };
  if (kind === "gauge") {
    new Gauge({
      ...common,
      collect() {
        this.set(read(tracing.counters()));
      },
    });
  } else if (kind === "total") {
    new Counter({
      ...common,
      collect() {
        this.reset();
        this.inc(read(tracing.counters()));
      },
    });
  } else {
    new Counter({
      ...common,
      labelNames: ["cause"],
      collect() {
        this.reset();
        for (const [cause, count] of Object.entries(read(tracing.counters()))) this.inc({ cause }, count);
      },
    });
  }
}

/** Every destination gets every span: what each made of them. */
function destinationMetrics(registry: MetricsRegistry, tracing: Tracing): void {
  const registers = [registry];
  new Counter({
    name: "vitrine_destination_spans_total",
    help: "Spans by destination and by what became of them: delivered, or why they were dropped",
    labelNames: ["destination", "fate"],
    registers,
    collect() {
      this.reset();
      for (const { kind, counters } of tracing.destinations()) {
        const fates = { delivered: counters.delivered, ...counters.dropped };
        for (const [fate, count] of Object.entries(fates)) this.inc({ destination: kind, fate }, count);
      }
    },
  });
  new Gauge({
    name: "vitrine_destination_spans_waiting",
    help: "Spans by destination that wait to be sent: in its queue, or on disk",
    labelNames: ["destination", "place"],
    registers,
    collect() {
      this.reset();
      for (const { kind, counters } of tracing.destinations()) {
        this.set({ destination: kind, place: "queue" }, counters.queued);
        this.set({ destination: kind, place: "disk" }, counters.spooled);
      }
    },
  });
}
