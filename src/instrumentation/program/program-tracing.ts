/** The tracing of a whole program that is not ours: provider, propagator, instrumentations, log correlation, export. */
import { networkInterfaces } from "node:os";
import { isMainThread } from "node:worker_threads";
import { context, propagation, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { CompositePropagator, W3CBaggagePropagator } from "@opentelemetry/core";
import { type Instrumentation, registerInstrumentations } from "@opentelemetry/instrumentation";
import { PinoInstrumentation } from "@opentelemetry/instrumentation-pino";
import { BasicTracerProvider, type ReadableSpan } from "@opentelemetry/sdk-trace-node";
import { ZipkinPropagator } from "../../tracing/context/propagator.js";
import { HeadSampler } from "../../tracing/context/sampler.js";
import { DELIVERY_LIMITS } from "../../tracing/export/delivery.js";
import { createSpanExport, type SpanExport } from "../../tracing/span-export.js";
import { OnnxRuntimeInstrumentation, TransformersInstrumentation } from "../index.js";
import { correlateConsole } from "./console-correlation.js";
import { flushAtExit } from "./exit-flush.js";
import { httpInstrumentation, undiciInstrumentation, watchFastifyRoutes } from "./http-spans.js";
import { LazyProcessor } from "./lazy-processor.js";
import { hookModules } from "./module-hooks.js";
import { watchForOtherSdk } from "./other-sdk.js";
import type { ProgramSettings } from "./settings.js";
import { logToStderr } from "./stderr-log.js";

/** What the end of the program may wait for spans to leave. */
const EXIT_FLUSH_MS = 2_000;
/** Nobody tells a worker thread that it is about to be stopped: its spans leave sooner. */
const WORKER_BATCH_MS = 500;

const OTHER_SDK =
  "this program sets up OpenTelemetry itself, so vitrine/register leaves tracing to it; vitrine/instrumentation has the model instrumentations for its set-up";

/** Scopes whose spans follow the allow-list; all others are the program's own. */
const isFree = ({ instrumentationScope: { name } }: ReadableSpan): boolean =>
  !name.startsWith("vitrine") && !/^@opentelemetry\/instrumentation-(http|undici)$/.test(name);

/** Sets up everything; steps back, then or later, for an OpenTelemetry set-up of the program's own. */
export function traceProgram(settings: ProgramSettings): void {
  const processor = new LazyProcessor(() => openExport(settings), logToStderr);
  const { sampleRate: rate, sampleLimit: limit = null } = settings;
  const sampler = new HeadSampler({ rate, limit, rules: [] });
  const provider = new BasicTracerProvider({ sampler, spanProcessors: [processor] });
  if (!trace.setGlobalTracerProvider(provider)) {
    logToStderr("warn", OTHER_SDK);
    return;
  }
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  const propagators = [new ZipkinPropagator(...settings.propagation), new W3CBaggagePropagator()];
  propagation.setGlobalPropagator(new CompositePropagator({ propagators }));
  hookModules();
  const undo = [
    registerInstrumentations({ tracerProvider: provider, instrumentations: chosen(settings, processor) }),
    ...(settings.wants("http") ? [watchFastifyRoutes()] : []),
    ...(settings.wants("console") ? [correlateConsole()] : []),
    flushAtExit(() => processor.shutdownNow(EXIT_FLUSH_MS)),
  ];
  const stopWatching = watchForOtherSdk(() => {
    stopWatching();
    for (const api of [trace, context, propagation]) api.disable();
    for (const one of undo) one();
    processor.shutdownNow(EXIT_FLUSH_MS);
    logToStderr("warn", OTHER_SDK);
  });
}

/** By the names that OTEL_NODE_ENABLED_INSTRUMENTATIONS and its counterpart have for them. */
function chosen({ wants, traceDetail }: ProgramSettings, processor: LazyProcessor): Instrumentation[] {
  const made: Readonly<Record<string, () => Instrumentation>> = {
    http: () => httpInstrumentation((port) => processor.listening(port)),
    undici: undiciInstrumentation,
    pino: () => new PinoInstrumentation({ disableLogSending: true }),
    transformers: () => new TransformersInstrumentation({ traceDetail }),
    "onnxruntime-node": () => new OnnxRuntimeInstrumentation({ traceDetail }),
  };
  return Object.entries(made).flatMap(([name, make]) => (wants(name) ? [make()] : []));
}

function openExport(settings: ProgramSettings): SpanExport {
  const { serviceName, destinations, resource, pricePerDeviceHour } = settings;
  const ipv4 = ownAddress();
  return createSpanExport(
    {
      serviceName,
      destinations,
      resource,
      isFree,
      storeTraces: false,
      localEndpoint: ipv4 === undefined ? {} : { ipv4 },
      // Which of the machine's devices the program computes on, it does not say.
      gpuDeviceIds: [],
      log: logToStderr,
      ...(pricePerDeviceHour === undefined ? {} : { pricePerDeviceHour }),
    },
    isMainThread ? {} : { deliveryLimits: { ...DELIVERY_LIMITS, batchMs: WORKER_BATCH_MS } },
  );
}

/** As other hosts know this one, most likely. */
function ownAddress(): string | undefined {
  const all = Object.values(networkInterfaces()).flatMap((addresses) => addresses ?? []);
  return all.find(({ family, internal }) => family === "IPv4" && !internal)?.address;
}
