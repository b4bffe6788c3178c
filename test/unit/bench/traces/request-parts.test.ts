import assert from "node:assert/strict";
import fc from "fast-check";
import { RecordedRequest } from "../../../../src/bench/traces/recorded-request.js";
import { type Parts, partsOf } from "../../../../src/bench/traces/request-parts.js";
import { recordedSpan, streamedRecord, streamedTrace } from "../../../support/recorded-traces.js";

const sum = (parts: Parts): number => Object.values(parts).reduce((total, part) => total + part, 0);
const close = (found: number, wanted: number): void =>
  assert.ok(Math.abs(found - wanted) < 1e-6, `${found}, ${wanted}`);

describe("the parts of a request", () => {
  it("are where its time went, whatever the server's clock says", () => {
    const parts = partsOf(streamedRecord(), new RecordedRequest(streamedTrace()));
    assert.deepEqual(parts?.e2e, {
      client_queue: 2,
      network: 4,
      queue: 10,
      tokenize: 4,
      kv_allocate: 1,
      prefill: 14,
      decode: 60,
      write: 8,
      other: 3,
    });
    // Up to the stream's opening, 32 ms after the server began; the client waited 35.
    assert.deepEqual(parts?.ttft, {
      client_queue: 2,
      network: 3,
      queue: 10,
      tokenize: 4,
      kv_allocate: 1,
      prefill: 14,
      decode: 0,
      write: 2,
      other: 1,
    });
  });

  it("have the cache's growth apart from the phase it held up", () => {
    const trace = [...streamedTrace(), recordedSpan("kv_cache.grow", 3_600_050, 3_600_057, { parentId: "generate" })];
    const parts = partsOf(streamedRecord(), new RecordedRequest(trace))?.e2e;
    assert.deepEqual([parts?.kv_allocate, parts?.decode], [8, 53]);
  });

  it("end where the client had everything, although the server's span goes on", () => {
    const parts = partsOf(streamedRecord({ end: 1_097 }), new RecordedRequest(streamedTrace()));
    assert.equal(parts?.e2e.network, 0);
    assert.equal(parts?.e2e.write, 5);
    assert.equal(sum(parts?.e2e ?? ({} as Parts)), 97);
  });

  it("of an answer sent whole have no time to first token", () => {
    const { firstToken: _, ...record } = streamedRecord();
    assert.equal(partsOf(record, new RecordedRequest(streamedTrace()))?.ttft, undefined);
  });

  it("are those of the server that generated, with what stands before it as network", () => {
    const gateway = recordedSpan("get", 3_599_990, 3_600_120, { id: "client", kind: "SERVER", parentId: "caller" });
    const request = new RecordedRequest([gateway, ...streamedTrace()]);
    assert.equal(request.server?.id, "server");
  });

  it("add up to what the client saw, whatever the spans are", () => {
    const time = fc.double({ min: 0, max: 200, noNaN: true });
    const spans = fc.array(fc.tuple(fc.constantFrom("tokenize", "queue", "stream", "other"), time, time), {
      maxLength: 9,
    });
    fc.assert(
      fc.property(spans, time, time, time, (named, waited, first, rest) => {
        const below = named.map(([name, start, end]) => recordedSpan(name, 3_600_000 + start, 3_600_000 + end));
        const trace = new RecordedRequest([...streamedTrace(), ...below]);
        const record = { ...streamedRecord(), intended: 0, sent: waited, firstToken: waited + first };
        const parts = partsOf({ ...record, end: waited + first + rest }, trace);
        close(sum(parts?.e2e ?? ({} as Parts)), waited + first + rest);
        close(sum(parts?.ttft ?? ({} as Parts)), waited + first);
        for (const part of Object.values({ ...parts?.ttft, ...parts?.e2e })) assert.ok(part >= 0);
      }),
    );
  });
});
