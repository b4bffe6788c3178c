import assert from "node:assert/strict";
import { normalizeTraceId, STORE_LIMITS, TraceStore, traceTimestamp } from "../../../src/tracing/store/trace-store.js";
import { span, T } from "./store-fixtures.js";

const A = "000000000000000a";
const B = "000000000000000b";
const C = "000000000000000c";

describe("TraceStore", () => {
  it("gathers the spans of a trace in the order they came", () => {
    const store = new TraceStore();
    for (const [traceId, name] of [
      [A, "one"],
      [B, "other"],
      [A, "two"],
    ] as const)
      store.add(span({ traceId, name }), 10);
    assert.deepEqual(
      store.trace(A)?.map(({ name }) => name),
      ["one", "two"],
    );
    assert.equal(store.trace(C), undefined);
  });

  it("drops whole traces, the longest known first, when there are too many spans", () => {
    const store = new TraceStore({ ...STORE_LIMITS, spans: 4 });
    for (const traceId of [A, A, B, B]) store.add(span({ traceId }), 10);
    store.add(span({ traceId: C }), 10);
    assert.equal(store.trace(A), undefined);
    assert.deepEqual([store.trace(B)?.length, store.trace(C)?.length], [2, 1]);
    assert.deepEqual(store.size, { traces: 2, spans: 3, bytes: 30 });
  });

  it("drops by bytes too, and stays bounded when one trace outgrows it all", () => {
    const store = new TraceStore({ ...STORE_LIMITS, bytes: 50 });
    store.add(span({ traceId: A }), 30);
    store.add(span({ traceId: B }), 30);
    assert.deepEqual(
      [...store.traces()].map(({ id }) => id),
      [B],
    );
    for (let count = 0; count < 10; count++) {
      store.add(span({ traceId: C }), 20);
      assert.ok(store.size.bytes <= 50);
    }
  });

  it("lets steps go first, which have half of the room to themselves", () => {
    const store = new TraceStore({ ...STORE_LIMITS, spans: 4 });
    const ids = (): string[] => [...store.traces()].map(({ id }) => id).sort();
    const step = (number: number): string => `f${String(number).padStart(15, "0")}`;
    store.add(span({ traceId: A }), 10);
    for (let number = 1; number <= 9; number++) store.add(span({ traceId: step(number), name: "engine.step" }), 10);
    assert.deepEqual(ids(), [A, step(7), step(8), step(9)]);
    store.add(span({ traceId: B }), 10);
    assert.deepEqual(ids(), [A, B, step(8), step(9)]);
    store.add(span({ traceId: C }), 10);
    assert.deepEqual(ids(), [B, C, step(8), step(9)], "requests do not take theirs either");
    assert.deepEqual(store.size, { traces: 4, spans: 4, bytes: 40 });
    assert.equal(store.trace(step(9))?.length, 1);
  });

  it("forgets whole traces when they are too old, also when nothing new comes", () => {
    let now = 0;
    const store = new TraceStore({ ...STORE_LIMITS, ageMs: 1_000 }, () => now);
    store.add(span({ traceId: A }), 10);
    now = 600;
    store.add(span({ traceId: A }), 10);
    store.add(span({ traceId: B }), 10);
    now = 1_000;
    assert.equal(store.trace(A)?.length, 2);
    now = 1_001;
    assert.equal(store.trace(A), undefined);
    assert.deepEqual(store.size, { traces: 1, spans: 1, bytes: 10 });
    now = 1_601;
    assert.deepEqual([...store.traces()], []);
  });

  it("lower-cases names as Zipkin does", () => {
    const store = new TraceStore();
    const remoteEndpoint = { serviceName: "GateWay", port: 1 };
    store.add(span({ name: "POST /v1", localEndpoint: { serviceName: "Vitrine" }, remoteEndpoint }), 10);
    const [stored] = store.trace(A) ?? [];
    assert.deepEqual(
      [stored?.name, stored?.localEndpoint.serviceName, stored?.remoteEndpoint],
      ["post /v1", "vitrine", { serviceName: "gateway", port: 1 }],
    );
  });

  it("takes a trace's time from its root, else from its first span", () => {
    const child = span({ parentId: B, timestamp: T - 5 });
    assert.equal(traceTimestamp([child, span({ timestamp: T })]), T);
    assert.equal(traceTimestamp([child, span({ parentId: B, timestamp: T })]), T - 5);
  });

  it("reads trace ids as clients write them", () => {
    const long = "463ac35c9f6413ad48485a3953bb6124";
    assert.equal(normalizeTraceId(long), long);
    assert.equal(normalizeTraceId("a"), A);
    assert.equal(normalizeTraceId(`${"0".repeat(16)}${A}`), A);
    assert.equal(normalizeTraceId("1".repeat(20)), "1".repeat(20).padStart(32, "0"));
    for (const bad of ["", "xyz", long.toUpperCase(), "0", "0".repeat(32), `${long}0`])
      assert.equal(normalizeTraceId(bad), undefined);
  });
});
