import { gunzipSync } from "node:zlib";
import { z } from "zod";
import type { StoreAnswer } from "../contract.js";
import type { EncodedSpan } from "../export/zipkin-json.js";
import { normalizeTraceId, type TraceStore } from "./trace-store.js";

/** Most bytes of a list of spans, packed or not; other reporters send a tenth of it at once. */
export const LIST_BYTES = 5 * 2 ** 20;

const HEX = "expected lower-case hex digits, not all zero";
const traceId = z.string(HEX).transform((text, context) => {
  const id = normalizeTraceId(text);
  if (id !== undefined) return id;
  context.addIssue({ code: "custom", message: HEX });
  return z.NEVER;
});
const spanId = z
  .string(HEX)
  .regex(/^(?!0*$)[0-9a-f]{1,16}$/, HEX)
  .transform((id) => id.padStart(16, "0"));
/** Some clocks give fractions. */
const micros = z.number("expected whole microseconds").nonnegative().transform(Math.round);
const text = z.string("expected text");
const endpoint = z.object({
  serviceName: text.optional(),
  ipv4: text.optional(),
  ipv6: text.optional(),
  port: z.number("expected a port").optional(),
});

/**
 * Zipkin v2's span (https://zipkin.io/zipkin-api/zipkin2-api.yaml), in the order of our own encoder: what comes back from here is
 * then known again. Unlike a collector's, all of it is in one place; what has no times or names yet is shown all the same.
 */
const spanOf = (now: number) =>
  z.object({
    traceId,
    parentId: spanId.nullish().transform((id) => id ?? undefined),
    id: spanId,
    kind: z.enum(["CLIENT", "SERVER", "PRODUCER", "CONSUMER"]).optional(),
    name: text.nullish().transform((name) => name ?? ""),
    timestamp: micros.default(now),
    duration: micros.default(1).transform((duration) => Math.max(1, duration)),
    localEndpoint: endpoint.nullish().transform((local) => local ?? {}),
    remoteEndpoint: endpoint.optional(),
    annotations: z.array(z.object({ timestamp: micros, value: text })).optional(),
    tags: z.record(text, text).optional(),
    shared: z.boolean().optional(),
    debug: z.boolean().optional(),
  });

/** Takes spans of other services, as `POST /api/v2/spans` of a Zipkin does. */
export class WriteApi {
  constructor(
    private readonly store: TraceStore,
    /** Milliseconds since the epoch. */
    private readonly now: () => number = Date.now,
  ) {}

  /** @param list a JSON list of spans. Takes all of them, or none. Never throws. */
  post(list: Uint8Array, gzip: boolean): StoreAnswer {
    let json: unknown;
    try {
      json = JSON.parse(Buffer.from(unpacked(list, gzip)).toString("utf8"));
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE"
        ? { status: 413, body: `the list is larger than ${LIST_BYTES} bytes: send fewer spans at once` }
        : { status: 400, body: gzip ? "the body is not gzipped JSON" : "the body is not JSON" };
    }
    const parsed = z.array(spanOf(this.now() * 1e3), "expected a list of spans").safeParse(json);
    if (!parsed.success) return { status: 400, body: mistakeIn(parsed.error) };
    for (const span of parsed.data) this.#add(encodedSpan(span));
    return { status: 202, body: "" };
  }

  /** A list that was sent twice is kept once, and so is what the store's own worker sends here. */
  #add(span: EncodedSpan): void {
    const known = this.store.trace(span.traceId)?.summaries.some((other) => isSame(other, span));
    if (known !== true) this.store.add(span);
  }
}

function unpacked(list: Uint8Array, gzip: boolean): Uint8Array {
  return gzip ? gunzipSync(list, { maxOutputLength: LIST_BYTES }) : list;
}

/** `span [3].tags: …`; values and the names of tags stay out: they are others'. */
function mistakeIn({ issues: [issue] }: z.ZodError): string {
  const path =
    issue?.path
      .slice(0, 2)
      .map((part) => (typeof part === "number" ? `[${part}]` : `.${String(part)}`))
      .join("") ?? "";
  return `${path === "" ? "" : `span ${path}: `}${issue?.message}`;
}

/** Numbers first: most differ in them. */
function isSame(one: EncodedSpan, other: EncodedSpan): boolean {
  return one.timestamp === other.timestamp && one.bytes === other.bytes && one.json === other.json;
}

function encodedSpan(span: z.output<ReturnType<typeof spanOf>>): EncodedSpan {
  // As Zipkin has it: a span that is its own parent has none.
  const isRoot = span.parentId === undefined || span.parentId === span.id;
  const json = JSON.stringify(isRoot ? { ...span, parentId: undefined } : span);
  return {
    json,
    bytes: Buffer.byteLength(json),
    traceId: span.traceId,
    isRoot,
    name: span.name.toLowerCase(),
    serviceName: span.localEndpoint.serviceName?.toLowerCase(),
    remoteServiceName: span.remoteEndpoint?.serviceName?.toLowerCase(),
    timestamp: span.timestamp,
    duration: span.duration,
  };
}
