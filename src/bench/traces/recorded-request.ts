import { IntervalSet } from "./interval-set.js";
import { endOf, type RecordedSpan, type RecordedTrace } from "./zipkin-json.js";

/** One request's trace, and what it says of the request. */
export class RecordedRequest {
  /** The span of the server that generated; of the first server where none tells that it did. */
  readonly server: RecordedSpan | undefined;
  readonly #ids: ReadonlySet<string>;

  constructor(readonly spans: RecordedTrace) {
    this.#ids = new Set(spans.map(({ id }) => id));
    const servers = spans.filter(({ kind }) => kind === "SERVER").sort((a, b) => a.timestamp - b.timestamp);
    const worker = spans.find(({ name }) => name === "model.generate")?.parentId;
    this.server = servers.find(({ id }) => id === worker) ?? servers[0];
  }

  /** Spans of the CLIENT kind that began the trace. */
  get client(): RecordedSpan | undefined {
    return this.spans.find((span) => span.kind === "CLIENT" && !this.#known(span.parentId));
  }

  /** Its spans tell phases of generation: it is a worker that we can see through. */
  get generate(): RecordedSpan | undefined {
    return this.spans.find(({ name }) => name === "model.generate");
  }

  /**
   * Spans whose parent is not in the trace. Without the client's span in this store, what the client called has its
   * parent elsewhere, as it should.
   */
  orphans(clientStored: boolean): number {
    const lost = this.spans.filter((span) => span.parentId !== undefined && !this.#known(span.parentId));
    return lost.filter((span) => span.kind !== "CLIENT" && (clientStored || span.kind !== "SERVER")).length;
  }

  /** Share of the server's span that its descendants cover, 0 to 1. */
  get coverage(): number | undefined {
    const { server } = this;
    if (server === undefined || server.duration === 0) return undefined;
    const below = IntervalSet.of(this.#below(server.id).map((span) => [span.timestamp, endOf(span)]));
    return below.intersect(IntervalSet.of([[server.timestamp, endOf(server)]])).length / server.duration;
  }

  /** When these spans ran. */
  during(matches: (span: RecordedSpan) => boolean): IntervalSet {
    return IntervalSet.of(this.spans.filter(matches).map((span) => [span.timestamp, endOf(span)]));
  }

  annotation(value: string): number | undefined {
    return this.generate?.annotations.find((annotation) => annotation.value === value)?.timestamp;
  }

  #known(id: string | undefined): boolean {
    return id !== undefined && this.#ids.has(id);
  }

  #below(id: string): RecordedSpan[] {
    return this.spans.filter(({ parentId }) => parentId === id).flatMap((child) => [child, ...this.#below(child.id)]);
  }
}
