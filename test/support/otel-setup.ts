/**
 * `--import` of the tests' programs: an OpenTelemetry set-up as any program may have it, with its own SDK, and nothing of
 * vitrine but the instrumentations. Spans are written to `SPANS`, a file, when the program ends.
 */
import { writeFileSync } from "node:fs";
import { register } from "node:module";
import { registerInstrumentations } from "@opentelemetry/instrumentation";
import { InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-node";
import { OnnxRuntimeInstrumentation, TransformersInstrumentation } from "../../src/instrumentation/index.js";
import type { RecordedSpan } from "./instrumented-program.js";

register("@opentelemetry/instrumentation/hook.mjs", import.meta.url);
const exporter = new InMemorySpanExporter();
const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
provider.register();
const instrumentations = [new TransformersInstrumentation(), new OnnxRuntimeInstrumentation()];
registerInstrumentations({ instrumentations });

process.once("beforeExit", () => {
  for (const one of instrumentations) one.disable();
  const spans = exporter.getFinishedSpans().map((span): RecordedSpan => {
    const { name, startTime, endTime, attributes, parentSpanContext, status, events } = span;
    return {
      name,
      id: span.spanContext().spanId,
      ...(parentSpanContext === undefined ? {} : { parentId: parentSpanContext.spanId }),
      start: startTime[0] * 1e6 + startTime[1] / 1e3,
      end: endTime[0] * 1e6 + endTime[1] / 1e3,
      attributes,
      status: status.code,
      events: events.map((event) => event.name),
    };
  });
  if (process.env.SPANS !== undefined) writeFileSync(process.env.SPANS, JSON.stringify(spans));
});
