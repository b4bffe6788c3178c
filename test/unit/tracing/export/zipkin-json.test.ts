import assert from "node:assert/strict";
import { SpanKind } from "@opentelemetry/api";
import type { SpanRecord } from "../../../../src/tracing/export/span-record.js";
import { ZipkinEncoder } from "../../../../src/tracing/export/zipkin-json.js";
import type { ZipkinSpan } from "../../../../src/tracing/export/zipkin-span.js";

const ENDPOINT = { serviceName: "vitrine", ipv4: "127.0.0.1", port: 8080 };

function record(change: Partial<SpanRecord> = {}): SpanRecord {
  return {
    traceId: "463ac35c9f6413ad48485a3953bb6124",
    spanId: "a2fb4a1d1a96d312",
    kind: SpanKind.INTERNAL,
    name: "tokenize",
    start: 1_700_000_000_000_000,
    end: 1_700_000_000_000_250,
    debug: false,
    failed: false,
    statusMessage: "",
    attributes: {},
    events: [],
    ...change,
  };
}

const encode = (change: Partial<SpanRecord> = {}) => new ZipkinEncoder(ENDPOINT).encode(record(change));
const zipkin = (change: Partial<SpanRecord> = {}) => JSON.parse(encode(change).json) as ZipkinSpan;

describe("ZipkinEncoder", () => {
  it("says nothing that is not there: no kind for internal spans, no empty lists", () => {
    assert.deepEqual(zipkin(), {
      traceId: "463ac35c9f6413ad48485a3953bb6124",
      id: "a2fb4a1d1a96d312",
      name: "tokenize",
      timestamp: 1_700_000_000_000_000,
      duration: 250,
      localEndpoint: ENDPOINT,
    });
  });

  it("has the resource's attributes as tags, its own before them", () => {
    const attributes = { "ai.tokens": 3, "service.version": "own" };
    const resource = { "service.version": "1.2", "deployment.environment.name": "test" };
    const { json } = new ZipkinEncoder(ENDPOINT, resource).encode(record({ attributes }));
    assert.deepEqual((JSON.parse(json) as ZipkinSpan).tags, {
      "service.version": "own",
      "deployment.environment.name": "test",
      "ai.tokens": "3",
    });
  });

  it("gives kinds, parent, annotations and debug", () => {
    const span = zipkin({
      kind: SpanKind.SERVER,
      parentId: "05e3ac9a4f6e3b90",
      debug: true,
      events: [{ at: 1_700_000_000_000_100, name: "first_token" }],
    });
    assert.equal(span.kind, "SERVER");
    assert.equal(span.parentId, "05e3ac9a4f6e3b90");
    assert.equal(span.debug, true);
    assert.deepEqual(span.annotations, [{ timestamp: 1_700_000_000_000_100, value: "first_token" }]);
    const kinds = [SpanKind.CLIENT, SpanKind.PRODUCER, SpanKind.CONSUMER].map((kind) => zipkin({ kind }).kind);
    assert.deepEqual(kinds, ["CLIENT", "PRODUCER", "CONSUMER"]);
  });

  it("makes times whole and durations at least 1", () => {
    const instant = zipkin({ start: 1.7e15 + 0.25, end: 1.7e15 + 0.25 });
    assert.deepEqual([instant.timestamp, instant.duration], [1_700_000_000_000_000, 1]);
    assert.equal(zipkin({ end: 1 }).duration, 1);
  });

  it("files 64-bit traces under 16 digits, as their callers do", () => {
    assert.equal(zipkin({ traceId: "000000000000000048485a3953bb6124" }).traceId, "48485a3953bb6124");
  });

  it("makes every tag a string", () => {
    const attributes = {
      "ai.temperature": 0,
      "gen_ai.request.stream": false,
      "gen_ai.response.finish_reasons": ["stop"],
      "ai.phase": "decode",
    };
    assert.deepEqual(zipkin({ attributes }).tags, {
      "ai.temperature": "0",
      "gen_ai.request.stream": "false",
      "gen_ai.response.finish_reasons": '["stop"]',
      "ai.phase": "decode",
    });
  });

  it("tags every failure, with words or without", () => {
    assert.equal(zipkin({ failed: true, statusMessage: "engine_lost: it died" }).tags?.error, "engine_lost: it died");
    assert.equal(zipkin({ failed: true }).tags?.error, "true");
    assert.equal(zipkin({ failed: true, attributes: { error: "told" } }).tags?.error, "told");
  });

  it("makes the peer the remote endpoint, not tags", () => {
    const remote = (address: string, port = 0) =>
      zipkin({ attributes: { "network.peer.address": address, "network.peer.port": port } });
    assert.deepEqual(remote("10.0.0.9", 50_123).remoteEndpoint, { ipv4: "10.0.0.9", port: 50_123 });
    assert.deepEqual(remote("::ffff:10.0.0.9").remoteEndpoint, { ipv4: "10.0.0.9" });
    assert.deepEqual(remote("2001:db8::c001").remoteEndpoint, { ipv6: "2001:db8::c001" });
    assert.equal(remote("not an address", 70_000).remoteEndpoint, undefined);
    assert.equal(remote("10.0.0.9").tags, undefined);
    assert.deepEqual(zipkin({ attributes: { "peer.service": "gateway" } }).remoteEndpoint, { serviceName: "gateway" });
  });

  it("escapes what JSON has to have escaped, wherever text comes from outside", () => {
    const odd = 'say "aé漢🙂"\\ \n\u0000\u007f\ud800';
    const attributes = { "ai.device.reason": odd, "gen_ai.response.finish_reasons": [odd], "peer.service": odd };
    const span = zipkin({ name: odd, attributes, events: [{ at: 1, name: odd }], failed: true, statusMessage: odd });
    assert.deepEqual(span.tags, {
      "ai.device.reason": odd,
      "gen_ai.response.finish_reasons": JSON.stringify([odd]),
      error: odd,
    });
    assert.deepEqual([span.name, span.annotations?.[0]?.value, span.remoteEndpoint?.serviceName], [odd, odd, odd]);
  });

  it("sums up what it encoded: names as Zipkin indexes them, bytes as they are sent", () => {
    const attributes = { "peer.service": "GateWay" };
    const { json, ...summary } = encode({ name: "POST é", parentId: "05e3ac9a4f6e3b90", attributes });
    assert.deepEqual(summary, {
      bytes: Buffer.byteLength(json),
      traceId: "463ac35c9f6413ad48485a3953bb6124",
      isRoot: false,
      name: "post é",
      serviceName: "vitrine",
      remoteServiceName: "gateway",
      timestamp: 1_700_000_000_000_000,
      duration: 250,
    });
    assert.ok(summary.bytes > json.length);
    assert.equal(encode().isRoot, true);
  });
});
