import { join } from "node:path";
import type { Config } from "./config.js";
import { VitrineError } from "./errors.js";
import type { Destination } from "./tracing/export/destination.js";

/** Options that say where spans go, and how. */
export const DESTINATION_OPTIONS = [
  "zipkinEndpoint",
  "zipkinEncoder",
  "zipkinHeaders",
  "zipkinCa",
  "zipkinCert",
  "zipkinKey",
  "otlpEndpoint",
  "otlpHeaders",
  "traceSpool",
  "traceSpoolSize",
] as const;
type DestinationConfig = Pick<Config, (typeof DESTINATION_OPTIONS)[number]>;

/** Where spans go, as configured: Zipkin, an OTLP collector, both or none. */
export function destinationsOf(config: DestinationConfig): Destination[] {
  const { zipkinEndpoint, zipkinHeaders, zipkinCa, zipkinCert, zipkinKey, otlpEndpoint, otlpHeaders } = config;
  const files = {
    ...(zipkinCa === undefined ? {} : { ca: zipkinCa }),
    ...(zipkinCert === undefined ? {} : { cert: zipkinCert }),
    ...(zipkinKey === undefined ? {} : { key: zipkinKey }),
  };
  const [given] = Object.keys(files);
  if (given !== undefined && !(zipkinEndpoint?.startsWith("https:") && config.zipkinEncoder !== "otel")) {
    const param = `--zipkin-${given}`;
    const message = `${param}: needs an https:// --zipkin-endpoint, and --zipkin-encoder json or proto.`;
    throw new VitrineError("config_invalid", message, { param });
  }
  const destinations: Destination[] = [];
  if (zipkinEndpoint !== undefined) {
    destinations.push({
      kind: "zipkin",
      endpoint: zipkinEndpoint,
      encoder: config.zipkinEncoder,
      ...(zipkinHeaders === undefined ? {} : { headers: zipkinHeaders }),
      ...(Object.keys(files).length === 0 ? {} : { tls: files }),
      ...spoolOf("zipkin", config),
    });
  }
  if (otlpEndpoint !== undefined) {
    const headers = otlpHeaders === undefined ? {} : { headers: otlpHeaders };
    destinations.push({ kind: "otlp", endpoint: otlpEndpoint, ...headers, ...spoolOf("otlp", config) });
  }
  return destinations;
}

/** What may be shown of a URL: no user, password or query. */
export function addressOf(endpoint: string): string {
  const { origin, pathname } = new URL(endpoint);
  return `${origin}${pathname}`;
}

/** Each destination has a directory of its own below. */
function spoolOf(kind: Destination["kind"], { traceSpool, traceSpoolSize }: DestinationConfig) {
  return traceSpool === undefined ? {} : { spool: { directory: join(traceSpool, kind), bytes: traceSpoolSize } };
}
