import { randomBytes } from "node:crypto";
import { SpanKind } from "@opentelemetry/api";
import type { Destination } from "../tracing/export/destination.js";
import type { Sender, SendResult } from "../tracing/export/sender.js";
import type { SpanRecord } from "../tracing/export/span-record.js";
import { toZipkinSpan } from "../tracing/export/zipkin-span.js";
import { type Finding, ok, problem, warning } from "./finding.js";

export interface CollectorWorld {
  open(destination: Destination): Promise<Sender>;
  /** Status of Zipkin's answer to a trace id; undefined without an answer. */
  readBack(destination: Destination, traceId: string): Promise<number | undefined>;
  /** Milliseconds. */
  now(): number;
  pause(ms: number): Promise<void>;
}

const SEND_MS = 5_000;
/** A real Zipkin shows a span within a second or so of taking it; those that store elsewhere take longer. */
const READ_BACK_MS = 5_000;
const READ_AGAIN_MS = 200;

/** Sends one span named `vitrine doctor`, and reads it back where the collector is a Zipkin. */
export async function checkCollector(
  destination: Destination,
  serviceName: string,
  world: CollectorWorld,
): Promise<Finding[]> {
  const span = spanNow(world.now());
  const sender = await world.open(destination);
  const named = `${destination.kind === "zipkin" ? "Zipkin" : "the OTLP collector"} at ${sender.target}`;
  try {
    const text = destination.kind === "zipkin" ? toZipkinSpan(span, { serviceName }) : span;
    const sent = await sender.send([JSON.stringify(text)], SEND_MS);
    if (!sent.ok) return [problem(`${named} did not take a span: ${sent.reason}`, cureFor(sent, destination))];
  } finally {
    sender.close();
  }
  const took = ok(`${named} took a span`);
  return destination.kind === "zipkin" ? [took, await readBack(destination, span.traceId, world)] : [took];
}

function spanNow(now: number): SpanRecord {
  return {
    traceId: randomBytes(16).toString("hex"),
    spanId: randomBytes(8).toString("hex"),
    kind: SpanKind.INTERNAL,
    name: "vitrine doctor",
    start: now * 1000,
    end: now * 1000 + 1,
    debug: false,
    failed: false,
    statusMessage: "",
    attributes: {},
    events: [],
  };
}

async function readBack(destination: Destination, traceId: string, world: CollectorWorld): Promise<Finding> {
  const deadline = world.now() + READ_BACK_MS;
  let status: number | undefined;
  do {
    status = await world.readBack(destination, traceId);
    if (status === 200) return ok(`and shows it as trace ${traceId}`);
    await world.pause(READ_AGAIN_MS);
  } while (status === 404 && world.now() < deadline);
  if (status === 404) {
    const what = `it does not show trace ${traceId} after ${READ_BACK_MS / 1000} s`;
    return warning(what, "Look whether it samples (COLLECTOR_SAMPLE_RATE), or stores spans later or elsewhere.");
  }
  // A collector that only takes spans is none the worse for it.
  return ok("it does not answer queries, so that the span could not be read back");
}

function cureFor({ cause }: Exclude<SendResult, { ok: true }>, { kind }: Destination): string {
  const option = kind === "zipkin" ? "--zipkin-endpoint" : "--otlp-endpoint";
  if (cause === "connection_failed" || cause === "timeout") return `Start the collector, or correct ${option}.`;
  if (cause === "tls_failed")
    return `Check the certificates on both sides, and that ${option} names the host of the collector's.`;
  if (cause === "server_error") return "The collector is up but not well: look into its log and storage.";
  return `Check the path of ${option}, and its headers where it wants a login.`;
}
