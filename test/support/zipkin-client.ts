/** Zipkin's v2 API (https://zipkin.io/zipkin-api/), of a real Zipkin or of vitrine's own store. */
import { randomBytes } from "node:crypto";
import { Trace, type ZipkinSpan } from "./spans.js";

const WAIT_MS = 20_000;

export interface DependencyLink {
  readonly parent: string;
  readonly child: string;
  readonly callCount: number;
  readonly errorCount?: number;
}

export class ZipkinClient {
  /** `base` is what comes before `/api/v2`. */
  constructor(readonly base: string) {}

  async report(spans: readonly ZipkinSpan[]): Promise<void> {
    const response = await fetch(`${this.base}/api/v2/spans`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(spans),
    });
    if (!response.ok) throw new Error(`Zipkin answered ${response.status}: ${await response.text()}`);
  }

  /** The trace as it is now; without spans when nothing of it has come. */
  async trace(traceId: string): Promise<Trace> {
    const response = await fetch(`${this.base}/api/v2/trace/${traceId}`);
    if (response.status === 404) return new Trace([]);
    return new Trace(await answer<readonly ZipkinSpan[]>(response));
  }

  /** The trace once `complete`; by default, once its SERVER span, which ends last, has come. */
  async awaitTrace(traceId: string, complete: (trace: Trace) => boolean = hasServerSpan): Promise<Trace> {
    for (const deadline = Date.now() + WAIT_MS; ; ) {
      const trace = await this.trace(traceId);
      if (complete(trace)) return trace;
      if (Date.now() > deadline) throw new Error(`waited ${WAIT_MS} ms for trace ${traceId}; it has\n${trace}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async traces(query: Readonly<Record<string, string>>): Promise<readonly Trace[]> {
    const parameters = new URLSearchParams(query);
    const found = await answer<readonly (readonly ZipkinSpan[])[]>(
      await fetch(`${this.base}/api/v2/traces?${parameters}`),
    );
    return found.map((spans) => new Trace(spans));
  }

  /** Traces that match the query, once `enough` of them are there. */
  async awaitTraces(query: Readonly<Record<string, string>>, enough: number): Promise<readonly Trace[]> {
    for (const deadline = Date.now() + WAIT_MS; ; ) {
      const traces = await this.traces(query);
      if (traces.length >= enough) return traces;
      if (Date.now() > deadline) throw new Error(`${traces.length} traces match ${JSON.stringify(query)}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async dependencies(): Promise<readonly DependencyLink[]> {
    return answer(await fetch(`${this.base}/api/v2/dependencies?endTs=${Date.now() + 60_000}&lookback=86400000`));
  }
}

function hasServerSpan(trace: Trace): boolean {
  return trace.spans.some((span) => span.kind === "SERVER");
}

async function answer<T>(response: Response): Promise<T> {
  if (!response.ok) throw new Error(`${response.url} answered ${response.status}: ${await response.text()}`);
  return (await response.json()) as T;
}

/** A service that calls vitrine: its ids, the headers it sends, and the CLIENT span it reports. */
export class Caller {
  readonly traceId: string;
  readonly spanId = randomBytes(8).toString("hex");
  private readonly start = Date.now() * 1000;

  constructor(traceIdBits: 64 | 128 = 128) {
    this.traceId = randomBytes(traceIdBits / 8).toString("hex");
  }

  get b3Multi(): Record<string, string> {
    return { "X-B3-TraceId": this.traceId, "X-B3-SpanId": this.spanId, "X-B3-Sampled": "1" };
  }

  get b3Single(): Record<string, string> {
    return { b3: `${this.traceId}-${this.spanId}-1` };
  }

  get w3c(): Record<string, string> {
    return { traceparent: `00-${this.traceId}-${this.spanId}-01` };
  }

  /** Its span from construction until now. */
  span(): ZipkinSpan {
    return {
      traceId: this.traceId,
      id: this.spanId,
      name: "ask",
      kind: "CLIENT",
      timestamp: this.start,
      // The clock is cut to milliseconds: the end rounds up.
      duration: (Date.now() + 1) * 1000 - this.start,
      localEndpoint: { serviceName: "caller" },
      remoteEndpoint: { serviceName: "vitrine" },
    };
  }
}
