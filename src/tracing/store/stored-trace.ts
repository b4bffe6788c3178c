import type { EncodedSpan } from "../export/zipkin-json.js";
import type { ZipkinEndpoint, ZipkinSpan } from "../export/zipkin-span.js";

/** A trace as its spans' JSON, which is read again only by those who need more than the summaries tell. */
export class StoredTrace {
  /** In the order they came. */
  readonly summaries: EncodedSpan[] = [];

  constructor(readonly id: string) {}

  /** Read anew each time. */
  get spans(): readonly ZipkinSpan[] {
    return this.summaries.map(readSpan);
  }

  /** When the trace began, in microseconds: its root's time, else its earliest span's. */
  get began(): number {
    const root = this.summaries.find(({ isRoot }) => isRoot);
    return (
      root?.timestamp ?? this.summaries.reduce((earliest, { timestamp }) => Math.min(earliest, timestamp), Infinity)
    );
  }
}

/** As Zipkin answers it: with names in lower case. */
export function readSpan({ json }: Pick<EncodedSpan, "json">): ZipkinSpan {
  const span = JSON.parse(json) as ZipkinSpan;
  return {
    ...span,
    name: span.name.toLowerCase(),
    localEndpoint: lowerCased(span.localEndpoint),
    ...(span.remoteEndpoint === undefined ? {} : { remoteEndpoint: lowerCased(span.remoteEndpoint) }),
  };
}

function lowerCased(endpoint: ZipkinEndpoint): ZipkinEndpoint {
  const { serviceName } = endpoint;
  return serviceName === undefined ? endpoint : { ...endpoint, serviceName: serviceName.toLowerCase() };
}
