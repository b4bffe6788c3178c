import type { TlsFiles } from "./tls-files.js";

export type ZipkinEncoder = "json" | "proto" | "otel";

/** Where spans wait on disk for a collector that takes none. */
export interface SpoolPlace {
  /** Of this process and this destination alone. */
  readonly directory: string;
  readonly bytes: number;
}

/** A collector that gets every span. Each has its own queue, connection and counters. */
export type Destination = ZipkinDestination | OtlpDestination;

export interface ZipkinDestination {
  readonly kind: "zipkin";
  /** Full URL. */
  readonly endpoint: string;
  /** `otel` is the stock OpenTelemetry exporter, to compare with; it takes no TLS files. */
  readonly encoder?: ZipkinEncoder;
  readonly headers?: Readonly<Record<string, string>>;
  readonly tls?: TlsFiles;
  readonly spool?: SpoolPlace;
}

export interface OtlpDestination {
  readonly kind: "otlp";
  /** Full URL, `/v1/traces` included. */
  readonly endpoint: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly spool?: SpoolPlace;
}
