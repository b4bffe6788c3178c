import { type IntervalHistogram, monitorEventLoopDelay } from "node:perf_hooks";
import { LatencyHistogram } from "../metrics/latency-histogram.js";
import type { ClientHealth } from "../result.js";

/** How often the event loop is looked at; its histogram counts from one look to the next. */
const RESOLUTION_MS = 10;

/** Measures the harness while it measures the target. */
export class HealthMeter {
  readonly #loop: IntervalHistogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  readonly #late = new LatencyHistogram();
  #cpuMicros = 0;
  #wallMs = 0;
  #began: { readonly cpu: NodeJS.CpuUsage; readonly at: number } | undefined;

  start(): void {
    this.#loop.enable();
    this.#began = { cpu: process.cpuUsage(), at: performance.now() };
  }

  stop(): void {
    this.#loop.disable();
    if (this.#began === undefined) return;
    const { user, system } = process.cpuUsage(this.#began.cpu);
    this.#cpuMicros += user + system;
    this.#wallMs += performance.now() - this.#began.at;
    this.#began = undefined;
  }

  late(ms: number): void {
    this.#late.add(ms);
  }

  read(): ClientHealth {
    const delay = (nanoseconds: number): number => Math.max(0, nanoseconds / 1e6 - RESOLUTION_MS) || 0;
    return {
      latenessP99: this.#late.percentile(99) || 0,
      latenessMax: this.#late.max,
      loopDelayP99: delay(this.#loop.percentile(99)),
      loopDelayMax: delay(this.#loop.max),
      cpu: this.#wallMs === 0 ? 0 : this.#cpuMicros / 1e3 / this.#wallMs,
    };
  }
}

const LATE_MS = 10;
const BUSY = 0.9;

/** What is to be said of a harness that could not keep up, if anything. */
export function healthWarnings({ latenessP99, loopDelayP99, cpu }: ClientHealth): string[] {
  if (latenessP99 <= LATE_MS && loopDelayP99 <= LATE_MS && cpu <= BUSY) return [];
  const late = `sent requests ${latenessP99.toFixed(1)} ms late (p99), was held up for ${loopDelayP99.toFixed(1)} ms (p99)`;
  const advice = "Latencies contain that: give it a processor of its own, or less load.";
  return [`The harness itself did not keep up: it ${late}, and used ${Math.round(cpu * 100)} % of a core. ${advice}`];
}
