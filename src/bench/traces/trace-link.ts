import type { BenchResult } from "../result.js";

/** Where Zipkin's page shows a trace, or the target's own store gives it. Nothing else is known to have it. */
export function traceLink({ zipkinEndpoint, target }: BenchResult, traceId: string): string | undefined {
  const base =
    zipkinEndpoint === undefined ? `${new URL(target.url).origin}/zipkin/api/v2/trace` : zipkinPage(zipkinEndpoint);
  return base === undefined ? undefined : `${base}/${traceId}`;
}

function zipkinPage(endpoint: string): string | undefined {
  const { protocol, origin, pathname } = new URL(endpoint);
  if (!protocol.startsWith("http")) return undefined;
  return `${origin}${pathname.replace(/\/(api\/v2(\/spans)?\/?)?$/, "").replace(/\/zipkin$/, "")}/zipkin/traces`;
}

/** The read API that goes with them: `--zipkin-endpoint`'s where one is given, else the target's. */
export function readApi(target: string, zipkinEndpoint?: string): string {
  if (zipkinEndpoint === undefined) return `${new URL(target).origin}/zipkin/api/v2`;
  const { origin, pathname } = new URL(zipkinEndpoint);
  return `${origin}${pathname.replace(/\/(api\/v2(\/spans)?\/?)?$/, "")}/api/v2`;
}
