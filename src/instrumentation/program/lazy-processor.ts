import type { Context } from "@opentelemetry/api";
import type { ReadableSpan, Span, SpanProcessor } from "@opentelemetry/sdk-trace-node";
import { wallMicros } from "../../tracing/clock.js";
import type { SpanExport } from "../../tracing/span-export.js";
import type { TracingOptions } from "../../tracing/tracing.js";

/** A start that was not given is `Date.now()`, at most this long ago. */
const FRESH_MICROS = 2_000;

/**
 * OpenTelemetry cuts starts to milliseconds, and a parent would end up to one before its child. The end follows: it is the
 * start and a duration that is measured exactly. A start that the program gave stays.
 */
function sharpenStart({ startTime }: Span): void {
  const now = wallMicros();
  const [seconds, nanos] = startTime;
  const lag = now - (seconds * 1e6 + nanos / 1e3);
  if (nanos % 1e6 !== 0 || lag < 0 || lag > FRESH_MICROS) return;
  startTime[0] = Math.floor(now / 1e6);
  startTime[1] = Math.round((now % 1e6) * 1e3);
}

/**
 * Opens the export with the first span: many processes and threads of a program never make one, and have no export thread
 * then. What goes wrong is told once, and costs the spans.
 */
export class LazyProcessor implements SpanProcessor {
  #state: "new" | "failed" | SpanExport = "new";
  #port: number | undefined;

  constructor(
    private readonly open: () => SpanExport,
    private readonly log: TracingOptions["log"],
  ) {}

  onStart(span: Span, parent: Context): void {
    sharpenStart(span);
    this.#opened()?.processor.onStart(span, parent);
  }

  onEnd(span: ReadableSpan): void {
    this.#opened()?.processor.onEnd(span);
  }

  /** The first port of several is the one that spans say. */
  listening(port: number): void {
    if (this.#port !== undefined) return;
    this.#port = port;
    this.#opened()?.listening(port);
  }

  /** Blocks until what can be sent within `timeoutMs` is sent; spans that end later are lost. */
  shutdownNow(timeoutMs: number): void {
    if (typeof this.#state === "object") this.#state.shutdownNow(timeoutMs);
    this.#state = "failed";
  }

  async forceFlush(): Promise<void> {}

  async shutdown(): Promise<void> {}

  #opened(): SpanExport | undefined {
    if (this.#state === "new") {
      try {
        this.#state = this.open();
      } catch (error) {
        this.#state = "failed";
        this.log("error", `no spans are sent: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    return typeof this.#state === "object" ? this.#state : undefined;
  }
}
