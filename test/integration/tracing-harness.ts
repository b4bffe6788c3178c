/** Starts tracing and collectors for one test file, and stops them after each test: every span is accounted for then. */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { monotonicMicros } from "../../src/protocol.js";
import type { TracingOptions } from "../../src/tracing/contract.js";
import { DELIVERY_LIMITS, type DeliveryLimits } from "../../src/tracing/export/delivery.js";
import { createTracing, type Tracing, type TracingInternals } from "../../src/tracing/tracing.js";
import { type Behaviour, FakeCollector } from "./tracing-collector.js";

/** Small times, so that tests do not wait; what is under test does not depend on them. */
export const QUICK: DeliveryLimits = { ...DELIVERY_LIMITS, batchMs: 20, retryMs: 5, attempts: 3 };
const NO_GPU = "data:text/javascript,export const openGpuSampler = async () => undefined;";

export class TracingHarness {
  logs: string[] = [];
  #running: Tracing[] = [];
  #collectors: FakeCollector[] = [];

  start(
    zipkinEndpoint: string | undefined,
    internals: Partial<TracingInternals> = {},
    options: Partial<Pick<TracingOptions, "gpuDeviceIds" | "destinations" | "sampleRate" | "tail">> = {},
  ): Tracing {
    const tracing = createTracing(
      {
        serviceName: "vitrine",
        destinations: zipkinEndpoint === undefined ? [] : [{ kind: "zipkin", endpoint: zipkinEndpoint }],
        propagation: ["b3multi"],
        sampleRate: 1,
        storeTraces: true,
        localEndpoint: { ipv4: "127.0.0.1" },
        log: (_level, message) => void this.logs.push(message),
        ...options,
      },
      { deliveryLimits: QUICK, drainMs: 5, gpuModule: NO_GPU, ...internals },
    );
    this.#running.push(tracing);
    return tracing;
  }

  async collector(...behaviours: readonly Behaviour[]): Promise<FakeCollector> {
    const started = await FakeCollector.start(behaviours);
    this.#collectors.push(started);
    return started;
  }

  async stop(): Promise<void> {
    const running = this.#running.splice(0);
    await Promise.all(running.map((tracing) => tracing.shutdown(0)));
    for (const tracing of running) assertBalanced(tracing);
    await Promise.all(this.#collectors.splice(0).map((collector) => collector.stop()));
    this.logs = [];
  }
}

/** Two spans. Gives the trace's id. */
export function request(tracing: Tracing, headers: Record<string, string> = {}, path = "/v1/completions"): string {
  const start = monotonicMicros() - 1_000;
  const trace = tracing.startRequest({ method: "POST", path, headers, start, remote: {} });
  trace.tokenized(start + 100, start + 300, 5);
  trace.finish({ status: 200, at: start + 1_000 });
  return trace.traceId;
}

/** Waits without a limit of its own: the test's is enough. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(5);
}

/** The promise of ExportCounters; holds when nothing moves. */
export function assertBalanced(tracing: Tracing): void {
  const { ended, recovered, delivered, dropped, sampledOut, queued, spooled } = tracing.counters();
  const lost = Object.values(dropped).reduce((sum, count) => sum + count, 0);
  const known = delivered + lost + sampledOut + queued + spooled;
  assert.equal(ended + recovered, known, JSON.stringify(tracing.counters()));
}
