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
 * boundary, or else from the remote endpoint it names. A client span counts only when nothing is below it:
 * then its remote endpoint is the callee. A span without a kind that names both ends counts as a client's; a message
 * counts where it is sent and received, with the ends that its span names.
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

function linksOf(spans: readonly ZipkinSpan[]): readonly Call[] {
  const tree = new SpanTree(spans);
  return spans.flatMap((span) => callsOf(span, tree));
}

function callsOf(span: ZipkinSpan, tree: SpanTree): readonly Call[] {
  const local = span.localEndpoint.serviceName;
  const remote = span.remoteEndpoint?.serviceName;
  switch (span.kind) {
    case "PRODUCER":
      return callOf(local, remote, hasError(span));
    case "CONSUMER":
      return callOf(remote, local, hasError(span));
    case "SERVER": {
      const ancestor = tree.remoteAncestor(span);
      return callOf(
        ancestor?.localEndpoint.serviceName ?? remote,
        local,
        hasError(span) || callerFailed(span, ancestor),
      );
    }
    case "CLIENT":
      return tree.hasChildren(span) ? [] : clientCalls(span, tree);
    default:
      return local === undefined || remote === undefined ? [] : clientCalls(span, tree);
  }
}

/** A client that is not of the service its ancestor is of was called by that service, though no span says so. */
function clientCalls(span: ZipkinSpan, tree: SpanTree): readonly Call[] {
  const local = span.localEndpoint.serviceName;
  const ancestor = tree.remoteAncestor(span);
  const caller = ancestor?.localEndpoint.serviceName;
  const failed = hasError(span) || callerFailed(span, ancestor);
  return [
    ...(caller === local ? [] : callOf(caller, local, false)),
    ...callOf(local ?? caller, span.remoteEndpoint?.serviceName, failed),
  ];
}

function callOf(parent: string | undefined, child: string | undefined, failed: boolean): readonly Call[] {
  return parent === undefined || child === undefined ? [] : [{ parent, child, failed }];
}

/** One call in two spans: either half may note that it failed. */
function callerFailed(span: ZipkinSpan, ancestor: ZipkinSpan | undefined): boolean {
  return ancestor?.kind === "CLIENT" && ancestor.id === span.parentId && hasError(ancestor);
}

const hasError = (span: ZipkinSpan): boolean => span.tags?.error !== undefined;

/** What is above and below each span of a trace. A span whose parent is missing hangs from the root, where there is one. */
class SpanTree {
  readonly #byId = new Map<string, ZipkinSpan>();
  /** Server halves of ids that client and server share. */
  readonly #shared = new Map<string, ZipkinSpan>();
  readonly #root: ZipkinSpan | undefined;
  readonly #parents: ReadonlySet<ZipkinSpan | undefined>;

  constructor(spans: readonly ZipkinSpan[]) {
    for (const span of spans) (span.shared === true ? this.#shared : this.#byId).set(span.id, span);
    this.#root = [...this.#byId.values(), ...this.#shared.values()].find(({ parentId }) => parentId === undefined);
    this.#parents = new Set(spans.map((span) => this.#parentOf(span)));
  }

  hasChildren(span: ZipkinSpan): boolean {
    return this.#parents.has(span);
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
    if (span === this.#root) return undefined;
    const client = span.shared === true ? this.#byId.get(span.id) : undefined;
    return client ?? this.#named(span) ?? this.#root;
  }

  /** Of two halves with one id, a span is below the one of its own service. */
  #named({ parentId, localEndpoint }: ZipkinSpan): ZipkinSpan | undefined {
    if (parentId === undefined) return undefined;
    const server = this.#shared.get(parentId);
    if (server?.localEndpoint.serviceName === localEndpoint.serviceName && server !== undefined) return server;
    return this.#byId.get(parentId) ?? server;
  }
}
