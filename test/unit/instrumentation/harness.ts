import { context } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  type Sampler,
  SimpleSpanProcessor,
} from "@opentelemetry/sdk-trace-node";
import type { TraceDetail } from "../../../src/instrumentation/forward-span.js";
import { Recorder } from "../../../src/instrumentation/recorder.js";
import { ManualClock } from "../../support/manual-clock.js";

/** Pauses that are over when the test says so. */
export class ManualQuiet {
  readonly #pending = new Set<() => void>();
  refreshed = 0;

  readonly start = (_milliseconds: number, done: () => void) => {
    this.#pending.add(done);
    return { refresh: () => this.refreshed++, cancel: () => void this.#pending.delete(done) };
  };

  elapse(): void {
    for (const done of [...this.#pending]) done();
  }
}

/** A recorder on the test's own clock, and the spans it made. */
export class RecordingHarness {
  readonly clock = new ManualClock();
  readonly quiet = new ManualQuiet();
  readonly exporter = new InMemorySpanExporter();
  readonly provider: BasicTracerProvider;
  readonly recorder: Recorder;
  detail: TraceDetail = "phase";

  constructor(sampler?: Sampler) {
    const spanProcessors = [new SimpleSpanProcessor(this.exporter)];
    this.provider = new BasicTracerProvider(sampler === undefined ? { spanProcessors } : { spanProcessors, sampler });
    this.recorder = new Recorder({
      tracer: () => this.provider.getTracer("test"),
      detail: () => this.detail,
      clock: this.clock,
      quiet: this.quiet.start,
    });
  }

  get spans(): readonly ReadableSpan[] {
    return this.exporter.getFinishedSpans();
  }

  named(name: string, phase?: string): ReadableSpan {
    const found = this.spans.filter((span) => span.name === name && (!phase || span.attributes["ai.phase"] === phase));
    const [only] = found;
    if (only === undefined || found.length > 1)
      throw new Error(`${found.length} spans ${name}:\n${this.tree().join("\n")}`);
    return only;
  }

  /** Names as a tree, in the order they began; the phase of forward passes, and `!` with the class of a failure. */
  tree(): string[] {
    return treeOf(this.spans);
  }
}

function treeOf(spans: readonly ReadableSpan[]): string[] {
  const ids = new Set(spans.map((span) => span.spanContext().spanId));
  const ordered = [...spans].sort((one, other) => micros(one.startTime) - micros(other.startTime));
  const below = (parent: string | undefined, depth: number): string[] =>
    ordered
      .filter(({ parentSpanContext: up }) => (up && ids.has(up.spanId) ? up.spanId : undefined) === parent)
      .flatMap((span) => {
        const { "ai.phase": phase, "error.type": failure } = span.attributes;
        const label = [span.name, phase, failure === undefined ? undefined : `!${failure}`].filter(Boolean).join(" ");
        return [`${"  ".repeat(depth)}${label}`, ...below(span.spanContext().spanId, depth + 1)];
      });
  return below(undefined, 0);
}

export function micros([seconds, nanos]: readonly [number, number]): number {
  return seconds * 1e6 + nanos / 1e3;
}

/** For the tests of one suite, contexts follow asynchronous calls, as an SDK has them do. */
export function useContextManager(): void {
  before(() => void context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable()));
  after(() => context.disable());
}
