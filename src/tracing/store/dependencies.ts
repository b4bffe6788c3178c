import type { ZipkinSpan } from "../export/zipkin-span.js";

/** A caller and a callee, and how often, as Zipkin's `/dependencies` answers. */
export interface DependencyLink {
  readonly parent: string;
  readonly child: string;
  readonly callCount: number;
  readonly errorCount?: number;
}

/**
 * Which service called which. Every server span is one call, from its nearest ancestor that crossed a process
 * boundary, or else from the remote endpoint it names. A client span counts only when nothing answers below it:
 * then its remote endpoint is the callee. A span without a kind that names both ends counts as a client's.
 */
export function linkTraces(traces: Iterable<readonly ZipkinSpan[]>): DependencyLink[] {
  const links = new Map<string, { parent: string; child: string; callCount: number; errorCount: number }>();
  for (const spans of traces) {
    for (const { parent, child, failed } of linksOf(spans)) {
      const key = JSON.stringify([parent, child]);
      const link = links.get(key) ?? { parent, child, callCount: 0, errorCount: 0 };
      links.set(key, link);
      link.callCount++;
      if (failed) link.errorCount++;
    }
  }
  return [...links.values()].map(({ errorCount, ...link }) => (errorCount === 0 ? link : { ...link, errorCount }));
}

interface Call {
  readonly parent: string;
  readonly child: string;
  readonly failed: boolean;
}

function linksOf(spans: readonly ZipkinSpan[]): Call[] {
  const tree = new SpanTree(spans);
  return spans.map((span) => callOf(span, tree)).filter((call) => call !== undefined);
}

function callOf(span: ZipkinSpan, tree: SpanTree): Call | undefined {
  const local = span.localEndpoint.serviceName;
  const remote = span.remoteEndpoint?.serviceName;
  const receives = span.kind === "SERVER" || span.kind === "CONSUMER";
  if (span.kind === undefined && remote === undefined) return undefined;
  if (!receives && tree.hasChildren(span)) return undefined;
  const ancestor = span.kind === "SERVER" ? tree.remoteAncestor(span) : undefined;
  const parent = receives ? (ancestor?.localEndpoint.serviceName ?? remote) : local;
  const child = receives ? local : remote;
  if (parent === undefined || child === undefined) return undefined;
  const callerFailed = ancestor?.kind === "CLIENT" && ancestor.id === span.parentId && hasError(ancestor);
  return { parent, child, failed: hasError(span) || callerFailed };
}

const hasError = (span: ZipkinSpan): boolean => span.tags?.error !== undefined;

class SpanTree {
  readonly #byId = new Map<string, ZipkinSpan>();
  /** Server halves of ids that client and server share. */
  readonly #shared = new Map<string, ZipkinSpan>();
  readonly #parents = new Set<string>();

  constructor(spans: readonly ZipkinSpan[]) {
    for (const span of spans) {
      if (span.shared === true) this.#shared.set(span.id, span);
      else this.#byId.set(span.id, span);
      if (span.parentId !== undefined) this.#parents.add(span.parentId);
    }
  }

  hasChildren(span: ZipkinSpan): boolean {
    return this.#parents.has(span.id) || (span.shared !== true && this.#shared.has(span.id));
  }

  remoteAncestor(span: ZipkinSpan): ZipkinSpan | undefined {
    const seen = new Set<ZipkinSpan>([span]);
    let at = this.#parentOf(span);
    while (at !== undefined && !seen.has(at)) {
      if (at.kind !== undefined) return at;
      seen.add(at);
      at = this.#parentOf(at);
    }
    return undefined;
  }

  #parentOf(span: ZipkinSpan): ZipkinSpan | undefined {
    const client = span.shared === true ? this.#byId.get(span.id) : undefined;
    if (client !== undefined) return client;
    const { parentId } = span;
    return parentId === undefined ? undefined : (this.#shared.get(parentId) ?? this.#byId.get(parentId));
  }
}
