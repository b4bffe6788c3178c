import type { StoreAnswer } from "../contract.js";
import type { EncodedSpan } from "../export/zipkin-json.js";
import type { ZipkinSpan } from "../export/zipkin-span.js";
import { linkTraces } from "./dependencies.js";
import { inWindow, matches, parseTraceQuery, parseWindow, QueryError } from "./trace-query.js";
import { normalizeTraceId, type TraceStore } from "./trace-store.js";

/** Zipkin's read API (https://zipkin.io/zipkin-api/zipkin2-api.yaml) over the embedded store. */
export class ReadApi {
  constructor(
    private readonly store: TraceStore,
    /** Milliseconds since the epoch. */
    private readonly now: () => number = Date.now,
  ) {}

  /** `path` below `/api/v2`, with its query. Never throws. */
  get(path: string): StoreAnswer {
    try {
      const url = new URL(path.replace(/^\/+/, "/"), "http://store");
      const result = this.#route(url.pathname, url.searchParams);
      return "status" in result ? result : { status: 200, body: JSON.stringify(result.json) };
    } catch (error) {
      if (error instanceof QueryError || error instanceof URIError || error instanceof TypeError) {
        return { status: 400, body: error.message };
      }
      return { status: 500, body: "the trace store failed to answer" };
    }
  }

  #route(path: string, parameters: URLSearchParams): StoreAnswer | { readonly json: unknown } {
    const byId = /^\/trace\/([^/]*)$/.exec(path);
    if (byId !== null) return this.#trace(decodeURIComponent(byId[1] ?? ""));
    switch (path) {
      case "/services":
        return { json: this.#names(({ serviceName }) => serviceName) };
      case "/spans":
        return { json: this.#names(({ name }) => name, required(parameters, "serviceName")) };
      case "/remoteServices":
        return {
          json: this.#names(({ remoteServiceName }) => remoteServiceName, required(parameters, "serviceName")),
        };
      case "/traces":
        return { json: this.#search(parameters) };
      case "/traceMany":
        return { json: this.#many(required(parameters, "traceIds")) };
      case "/dependencies":
        return { json: this.#dependencies(parameters) };
      // Zipkin answers these from tags named at its start; none are named here.
      case "/autocompleteKeys":
        return { json: [] };
      case "/autocompleteValues":
        if (required(parameters, "key") === "") throw new QueryError("key was empty");
        return { json: [] };
      default:
        return { status: 404, body: `${path} is not part of the read API` };
    }
  }

  #trace(text: string): StoreAnswer | { readonly json: unknown } {
    const { spans } = this.store.trace(traceIdOf(text)) ?? {};
    return spans === undefined ? { status: 404, body: `${text} not found` } : { json: spans };
  }

  #many(list: string): (readonly ZipkinSpan[])[] {
    const ids = list.split(",").map(traceIdOf);
    if (new Set(ids).size < ids.length) throw new QueryError("redundant traceId");
    if (ids.length === 1) throw new QueryError("Use /api/v2/trace/{traceId} endpoint to retrieve a single trace");
    return ids.map((id) => this.store.trace(id)?.spans).filter((spans) => spans !== undefined);
  }

  #search(parameters: URLSearchParams): (readonly ZipkinSpan[])[] {
    const query = parseTraceQuery(parameters, this.now());
    return [...this.store.traces()]
      .filter((trace) => matches(trace, query))
      .sort((one, other) => other.began - one.began)
      .slice(0, query.limit)
      .map(({ spans }) => spans);
  }

  #dependencies(parameters: URLSearchParams): unknown {
    const window = parseWindow(parameters);
    return linkTraces([...this.store.traces()].filter((trace) => inWindow(trace, window)).map(({ spans }) => spans));
  }

  #names(read: (span: EncodedSpan) => string | undefined, serviceName?: string): string[] {
    const wanted = serviceName?.toLowerCase();
    const names = new Set<string>();
    for (const { summaries } of this.store.traces()) {
      for (const span of summaries) {
        const name = read(span);
        if (name !== undefined && (wanted === undefined || span.serviceName === wanted)) names.add(name);
      }
    }
    return [...names].sort();
  }
}

function required(parameters: URLSearchParams, name: string): string {
  const value = parameters.get(name);
  if (value === null) throw new QueryError(`parameter ${name} is required`);
  return value;
}

function traceIdOf(text: string): string {
  const id = normalizeTraceId(text);
  if (id === undefined) throw new QueryError("a trace id is 1 to 32 lower-case hex digits, not all zero");
  return id;
}
