import assert from "node:assert/strict";
import { type Attributes, ROOT_CONTEXT, SpanKind, SpanStatusCode } from "@opentelemetry/api";
import { BasicTracerProvider, type ReadableSpan } from "@opentelemetry/sdk-trace-node";
import { SpanDecoder } from "../../../../src/tracing/export/span-decoder.js";
import { MAX_SPAN_BYTES, SpanEncoder } from "../../../../src/tracing/export/span-encoder.js";
import type { SpanRecord } from "../../../../src/tracing/export/span-record.js";

function makeSpan(
  attributes: Attributes = {},
  change: (span: ReturnType<typeof open>) => void = () => {},
): ReadableSpan {
  const ended: ReadableSpan[] = [];
  const span = open(attributes, ended);
  change(span);
  span.end([1_700_000_000, 123_456_600]);
  const [only] = ended;
  assert.ok(only);
  return only;
}

function open(attributes: Attributes, ended: ReadableSpan[]) {
  const provider = new BasicTracerProvider({
    idGenerator: {
      generateTraceId: () => "463ac35c9f6413ad48485a3953bb6124",
      generateSpanId: () => "00fb4a1d1a96d3f0",
    },
    spanProcessors: [
      { onStart() {}, onEnd: (span) => void ended.push(span), forceFlush: async () => {}, shutdown: async () => {} },
    ],
  });
  const options = { kind: SpanKind.SERVER, startTime: [1_700_000_000, 1_000] as [number, number], attributes };
  return provider.getTracer("test").startSpan("POST /v1/completions", options, ROOT_CONTEXT);
}

/** Somewhere inside other bytes, as in the ring. */
const START = 12;

function encoderInto(bytes = Buffer.alloc(START + MAX_SPAN_BYTES + 8, 0xee)) {
  const encoder = new SpanEncoder(bytes, MAX_SPAN_BYTES);
  const encode = (span: ReadableSpan, debug = false, free = false) => encoder.encode(span, debug, START, free);
  return { bytes, encoder, encode };
}

function roundTrip(span: ReadableSpan, debug = false, free = false): SpanRecord {
  const { bytes, encode } = encoderInto();
  const length = encode(span, debug, free);
  assert.ok(length > 0);
  assert.deepEqual([bytes[START - 1], bytes[START + length]], [0xee, 0xee], "nothing is written outside");
  return new SpanDecoder().decode(bytes, START, length);
}

describe("span codec", () => {
  it("keeps attributes of any name in free spans, but for content and types that no span has", () => {
    const own = { "order.id": "a7", "order.lines": 3, "order.paid": true, "order.tags": ["x", "y"] };
    const refused = { "gen_ai.prompt.0.content": "secret", "user.email": "secret", "order.sizes": [1, 2] };
    const span = makeSpan({ "ai.tokens": 5, ...own, ...refused, "ai.steps": 2 });
    assert.deepEqual(roundTrip(span, false, true).attributes, { "ai.tokens": 5, ...own, "ai.steps": 2 });
    assert.deepEqual(roundTrip(span).attributes, { "ai.tokens": 5, "ai.steps": 2 });
  });

  it("takes from addresses what may be secret", () => {
    const span = makeSpan({ "url.full": "https://user:word@host:1/path?key=secret#part" });
    assert.deepEqual(roundTrip(span).attributes, { "url.full": "https://host:1/path" });
  });

  it("keeps ids, times, kind, name, attributes, events and status", () => {
    const attributes = {
      "http.method": "POST",
      "ai.temperature": 0,
      "ai.seed": 2 ** 53 - 1,
      "ai.top_p": 0.95,
      "gen_ai.request.stream": true,
      "gen_ai.response.finish_reasons": ["stop", "length"],
    };
    const span = makeSpan(attributes, (open) => {
      open.addEvent("first_token", [1_700_000_000, 50_000_000]);
      open.setStatus({ code: SpanStatusCode.ERROR, message: "engine_lost: the engine died" });
    });
    assert.deepEqual(roundTrip(span, true), {
      traceId: "463ac35c9f6413ad48485a3953bb6124",
      spanId: "00fb4a1d1a96d3f0",
      parentId: undefined,
      kind: SpanKind.SERVER,
      name: "POST /v1/completions",
      start: 1_700_000_000_000_001,
      end: 1_700_000_000_123_457,
      debug: true,
      failed: true,
      statusMessage: "engine_lost: the engine died",
      attributes,
      events: [{ at: 1_700_000_000_050_000, name: "first_token" }],
    });
  });

  it("keeps a parent, and the absence of status and debug", () => {
    const span = makeSpan();
    const parent = { traceId: span.spanContext().traceId, spanId: "a2fb4a1d1a96d312", traceFlags: 1 };
    const child: ReadableSpan = Object.create(span, { parentSpanContext: { value: parent } });
    const record = roundTrip(child);
    assert.equal(record.parentId, "a2fb4a1d1a96d312");
    assert.deepEqual([record.debug, record.failed, record.statusMessage], [false, false, ""]);
    assert.equal(roundTrip(span).parentId, undefined);
  });

  it("keeps text of every width, and cuts long text", () => {
    const text = "aé漢🙂".repeat(10);
    assert.equal(roundTrip(makeSpan({ "ai.device.reason": text })).attributes["ai.device.reason"], text);
    const long = roundTrip(makeSpan({ "ai.device.reason": "é".repeat(1_000) })).attributes["ai.device.reason"];
    assert.equal(long, "é".repeat(512));
    assert.equal(roundTrip(makeSpan({}, (span) => span.updateName("n".repeat(999)))).name.length, 128);
  });

  it("leaves out and counts what the allow-list does not have, by name or by type", () => {
    const { bytes, encoder, encode } = encoderInto();
    const length = encode(
      makeSpan({
        "gen_ai.prompt": "secret",
        "gen_ai.input.messages": "secret",
        "http.status_code": "200",
        "ai.seed": Number.NaN,
        "ai.phase": "decode",
      }),
    );
    const { attributes } = new SpanDecoder().decode(bytes, START, length);
    assert.deepEqual(attributes, { "ai.phase": "decode" });
    assert.equal(encoder.droppedAttributes, 4);
    assert.equal(bytes.includes("secret"), false);
  });

  it("never records what an event carries besides its name", () => {
    const span = makeSpan({}, (open) => open.recordException(new Error("secret")));
    const { bytes, encode } = encoderInto();
    assert.ok(encode(span) > 0);
    assert.equal(bytes.includes("secret"), false);
    assert.equal(roundTrip(span).events[0]?.name, "exception");
  });

  it("refuses a span that does not fit, and encodes the next one", () => {
    const reasons = Array.from({ length: 255 }, () => "x".repeat(256));
    const { bytes, encode } = encoderInto();
    assert.equal(encode(makeSpan({ "gen_ai.response.finish_reasons": reasons })), 0);
    assert.equal(bytes[START + MAX_SPAN_BYTES], 0xee, "nothing is written outside");
    const length = encode(makeSpan({ "ai.phase": "decode" }));
    assert.ok(length > 0 && length < MAX_SPAN_BYTES);
    assert.equal(new SpanDecoder().decode(bytes, START, length).attributes["ai.phase"], "decode");
  });

  it("refuses bytes that are no span", () => {
    assert.throws(() => new SpanDecoder().decode(Buffer.alloc(60, 0xff), 0, 60), RangeError);
    const { bytes, encode } = encoderInto();
    const length = encode(makeSpan({ "ai.phase": "decode" }));
    assert.throws(() => new SpanDecoder().decode(bytes, START, length - 1), RangeError);
  });
});
