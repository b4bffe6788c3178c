import type { Destination, ZipkinDestination } from "./destination.js";
import { HttpSender } from "./http-sender.js";
import type { Sender } from "./sender.js";
import { TlsFileReader } from "./tls-files.js";
import type { ZipkinEndpoint } from "./zipkin-span.js";

type Log = (level: "info" | "warn" | "error", message: string) => void;

/** What brings packages into this thread is loaded only when asked for. */
export async function createSender(destination: Destination, service: ZipkinEndpoint, log: Log): Promise<Sender> {
  if (destination.kind === "zipkin") return zipkinSender(destination, log);
  const { OtlpSender } = await import("./otlp-sender.js");
  return new OtlpSender(destination.endpoint, destination.headers ?? {}, service);
}

async function zipkinSender({ endpoint, encoder, headers = {}, tls }: ZipkinDestination, log: Log): Promise<Sender> {
  if (encoder === "otel") {
    const { StockSender } = await import("./stock-sender.js");
    return new StockSender(endpoint, headers);
  }
  const files = tls === undefined ? {} : { tls: new TlsFileReader(tls, log) };
  if (encoder !== "proto") return new HttpSender(endpoint, { headers, ...files });
  const { PROTO_FORMAT } = await import("./zipkin-proto.js");
  return new HttpSender(endpoint, { headers, format: PROTO_FORMAT, ...files });
}
