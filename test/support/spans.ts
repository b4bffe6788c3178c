/** Spans as Zipkin's v2 API returns them, and what tests ask of a trace. */

export interface ZipkinSpan {
  readonly traceId: string;
  readonly id: string;
  readonly parentId?: string;
  readonly name: string;
  readonly kind?: "CLIENT" | "SERVER" | "PRODUCER" | "CONSUMER";
  /** Microseconds. */
  readonly timestamp: number;
  readonly duration: number;
  readonly localEndpoint?: { readonly serviceName?: string; readonly ipv4?: string; readonly port?: number };
  readonly remoteEndpoint?: { readonly serviceName?: string; readonly ipv4?: string; readonly port?: number };
  readonly annotations?: readonly { readonly timestamp: number; readonly value: string }[];
  readonly tags?: Readonly<Record<string, string>>;
}

/** One trace's spans with the questions tests ask. Each throws an error that lists the spans there are. */
export class Trace {
  constructor(readonly spans: readonly ZipkinSpan[]) {}

  /** The only span that matches. */
  only(what: string, matches: (span: ZipkinSpan) => boolean): ZipkinSpan {
    const found = this.spans.filter(matches);
    const [span] = found;
    if (span === undefined || found.length > 1) throw new Error(`${found.length} spans are ${what}:\n${this}`);
    return span;
  }

  named(name: string, tags: Readonly<Record<string, string>> = {}): ZipkinSpan {
    const matches = (span: ZipkinSpan) =>
      span.name === name && Object.entries(tags).every(([key, value]) => span.tags?.[key] === value);
    return this.only(`named ${name} ${JSON.stringify(tags)}`, matches);
  }

  get server(): ZipkinSpan {
    return this.only("of kind SERVER", (span) => span.kind === "SERVER");
  }

  childrenOf(parent: ZipkinSpan): readonly ZipkinSpan[] {
    return this.spans.filter((span) => span.parentId === parent.id);
  }

  toString(): string {
    const line = ({ name, kind, id, parentId, timestamp, duration, tags }: ZipkinSpan) =>
      `  ${parentId ?? "-"} > ${id} ${kind ?? ""} ${name} ${timestamp} +${duration} ${JSON.stringify(tags ?? {})}`;
    return this.spans.map(line).join("\n");
  }
}

function endOf(span: ZipkinSpan): number {
  return span.timestamp + span.duration;
}

/** Whether the child lies within its parent, up to the rounding of both ends to whole microseconds. */
export function isInside(child: ZipkinSpan, parent: ZipkinSpan): boolean {
  return child.timestamp >= parent.timestamp - 2 && endOf(child) <= endOf(parent) + 2;
}

/** Share of the span's interval that the union of the others' intervals covers, 0 to 1. */
export function coverage(span: ZipkinSpan, others: readonly ZipkinSpan[]): number {
  const intervals = others
    .map((other) => [Math.max(other.timestamp, span.timestamp), Math.min(endOf(other), endOf(span))] as const)
    .filter(([start, end]) => end > start)
    .sort(([a], [b]) => a - b);
  let covered = 0;
  let reached = span.timestamp;
  for (const [start, end] of intervals) {
    if (end <= reached) continue;
    covered += end - Math.max(start, reached);
    reached = end;
  }
  return covered / span.duration;
}

/** Every span under `root`, itself left out. */
export function descendants(trace: Trace, root: ZipkinSpan): readonly ZipkinSpan[] {
  return trace.childrenOf(root).flatMap((child) => [child, ...descendants(trace, child)]);
}
