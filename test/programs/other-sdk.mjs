// Sets up OpenTelemetry itself, and says what it exported.
import { trace } from "@opentelemetry/api";
import { InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor } from "@opentelemetry/sdk-trace-node";

const exporter = new InMemorySpanExporter();
const provider = new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
provider.register();
trace.getTracer("program").startSpan("work").end();
console.log(
  exporter
    .getFinishedSpans()
    .map(({ name }) => name)
    .join(),
);
