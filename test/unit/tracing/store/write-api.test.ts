import assert from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { SpanKind } from "@opentelemetry/api";
import { ZipkinEncoder } from "../../../../src/tracing/export/zipkin-json.js";
import type { ZipkinSpan } from "../../../../src/tracing/export/zipkin-span.js";
import { TraceStore } from "../../../../src/tracing/store/trace-store.js";
import { LIST_BYTES, WriteApi } from "../../../../src/tracing/store/write-api.js";
import { encoded } from "../../../support/encoded-span.js";
import { span, T, T_MS } from "./store-fixtures.js";

describe("WriteApi", () => {
  let store: TraceStore;
  let api: WriteApi;
  beforeEach(() => {
    store = new TraceStore(undefined, () => T_MS);
    api = new WriteApi(store, () => T_MS);
  });
  const bytes = (list: unknown): Buffer => Buffer.from(typeof list === "string" ? list : JSON.stringify(list));
  const post = (list: unknown) => api.post(bytes(list), false);
  const stored = (id: string): readonly ZipkinSpan[] => store.trace(id)?.spans ?? [];

  it("files spans of other services beside those of this one", () => {
    const traceId = "00000000000000ab";
    store.add(encoded(span({ traceId, parentId: "00000000000000cd" })));
    const client = span({
      traceId,
      id: "00000000000000cd",
      name: "get /",
      kind: "CLIENT",
      localEndpoint: { serviceName: "gateway", ipv4: "127.0.0.1", port: 80 },
      remoteEndpoint: { serviceName: "vitrine" },
      annotations: [{ timestamp: T, value: "sent" }],
      tags: { "http.method": "GET" },
      debug: true,
    });
    assert.deepEqual(api.post(gzipSync(bytes([client])), true), { status: 202, body: "" });
    assert.deepEqual(stored(traceId)[1], client);
    const [, { json, ...summary } = { json: "" }] = store.trace(traceId)?.summaries ?? [];
    const { json: _, ...expected } = encoded(client);
    assert.deepEqual(summary, expected);
    assert.deepEqual(JSON.parse(json), client);
  });

  it("takes what is incomplete or written otherwise, and leaves out what Zipkin does not know", () => {
    const id = "1";
    assert.equal(post([{ traceId: "0000000000000000000000000000000b", id, parentId: null, other: 1 }]).status, 202);
    const whole = { traceId: "000000000000000b", id: "0000000000000001", name: "", timestamp: T, duration: 1 };
    assert.deepEqual(stored("000000000000000b"), [{ ...whole, localEndpoint: {} }]);
    assert.equal(post([span({ traceId: "00000000000000cc", id: "00000000000000cc", parentId: "cc" })]).status, 202);
    assert.equal(stored("00000000000000cc")[0]?.parentId, undefined);
    assert.equal(post([span({ traceId: "000000000000000c", timestamp: T + 0.25, duration: 0 })]).status, 202);
    assert.deepEqual([stored("000000000000000c")[0]?.timestamp, stored("000000000000000c")[0]?.duration], [T, 1]);
  });

  it("keeps a span once that comes twice, from here or from its sender", () => {
    const encoder = new ZipkinEncoder({ serviceName: "vitrine", ipv4: "127.0.0.1", port: 8080 }, { host: "a" });
    const [traceId, parentId, spanId] = ["0".repeat(15).concat("d").padStart(32, "1"), "1".repeat(16), "2".repeat(16)];
    const { json } = encoder.encode({
      ...{ traceId, spanId, parentId, kind: SpanKind.SERVER, name: "Post", start: T, end: T + 5, debug: true },
      ...{ failed: true, statusMessage: "café", events: [{ at: T, name: "sent" }] },
      attributes: { "peer.service": "gateway", "network.peer.address": "::1", "network.peer.port": 9, n: 1.5 },
    });
    const own = JSON.parse(json) as ZipkinSpan;
    store.add(encoded(own));
    post([own]);
    post([own, span({ traceId: own.traceId })]);
    assert.equal(stored(own.traceId).length, 2);
  });

  it("takes all of a list or nothing, says which span is wrong, and repeats nothing of it", () => {
    const good = span({ traceId: "000000000000000e" });
    for (const [list, message] of [
      ["zebra", "the body is not JSON"],
      [{}, "expected a list of spans"],
      [[good, { ...good, traceId: "ZEBRA" }], "span [1].traceId: expected lower-case hex digits, not all zero"],
      [[good, { ...good, id: "0" }], "span [1].id: expected lower-case hex digits, not all zero"],
      [[{ ...good, timestamp: "zebra" }], "span [0].timestamp: expected whole microseconds"],
      [[{ ...good, tags: { zebra: 1 } }], "span [0].tags: expected text"],
    ] as const) {
      assert.deepEqual(post(list), { status: 400, body: message });
    }
    assert.deepEqual(api.post(bytes("[]"), true), { status: 400, body: "the body is not gzipped JSON" });
    assert.equal(store.size.spans, 0);
  });

  it("unpacks no more than a list may have", () => {
    const bomb = gzipSync(Buffer.alloc(LIST_BYTES + 1, " "));
    assert.equal(api.post(bomb, true).status, 413);
  });
});
