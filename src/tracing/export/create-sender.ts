import type { Destination, ZipkinDestination } from "./destination.js";
import { HttpSender } from "./http-sender.js";
import type { Sender } from "./sender.js";
import type { ThreadData } from "./thread-messages.js";
import { TlsFileReader } from "./tls-files.js";

type Log = (level: "info" | "warn" | "error", message: string) => void;

/** Who sends. */
type Service = Pick<ThreadData, "localEndpoint" | "resource">;

/** What brings packages into this thread is loaded only when asked for. */
export async function createSender(destination: Destination, service: Service, log: Log): Promise<Sender> {
  if (destination.kind === "zipkin") return zipkinSender(destination, log);
  const { OtlpSender } = await import("./otlp-sender.js");
  const { serviceName = "unknown_service" } = service.localEndpoint;
  const resource = { ...service.resource, "service.name": serviceName };
  return new OtlpSender(destination.endpoint, destination.headers ?? {}, resource);
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
