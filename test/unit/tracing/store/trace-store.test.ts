import assert from "node:assert/strict";
import { normalizeTraceId, STORE_LIMITS, TraceStore } from "../../../../src/tracing/store/trace-store.js";
import { encoded } from "../../../support/encoded-span.js";
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
      store.add(encoded(span({ traceId, name }), 10));
    assert.deepEqual(
      store.trace(A)?.spans.map(({ name }) => name),
      ["one", "two"],
    );
    assert.equal(store.trace(C), undefined);
  });

  it("drops whole traces, the longest known first, when there are too many spans", () => {
    const store = new TraceStore({ ...STORE_LIMITS, spans: 4 });
    for (const traceId of [A, A, B, B]) store.add(encoded(span({ traceId }), 10));
    store.add(encoded(span({ traceId: C }), 10));
    assert.equal(store.trace(A), undefined);
    assert.deepEqual([store.trace(B)?.spans.length, store.trace(C)?.spans.length], [2, 1]);
    assert.deepEqual(store.size, { traces: 2, spans: 3, bytes: 30 });
  });

  it("drops by bytes too, and stays bounded when one trace outgrows it all", () => {
    const store = new TraceStore({ ...STORE_LIMITS, bytes: 50 });
    store.add(encoded(span({ traceId: A }), 30));
    store.add(encoded(span({ traceId: B }), 30));
    assert.deepEqual(
      [...store.traces()].map(({ id }) => id),
      [B],
    );
    for (let count = 0; count < 10; count++) {
      store.add(encoded(span({ traceId: C }), 20));
      assert.ok(store.size.bytes <= 50);
    }
  });

  it("lets steps go first, which have half of the room to themselves", () => {
    const store = new TraceStore({ ...STORE_LIMITS, spans: 4 });
    const ids = (): string[] => [...store.traces()].map(({ id }) => id).sort();
    const step = (number: number): string => `f${String(number).padStart(15, "0")}`;
    store.add(encoded(span({ traceId: A }), 10));
    for (let number = 1; number <= 9; number++)
      store.add(encoded(span({ traceId: step(number), name: "engine.step" }), 10));
    assert.deepEqual(ids(), [A, step(7), step(8), step(9)]);
    store.add(encoded(span({ traceId: B }), 10));
    assert.deepEqual(ids(), [A, B, step(8), step(9)]);
    store.add(encoded(span({ traceId: C }), 10));
    assert.deepEqual(ids(), [B, C, step(8), step(9)], "requests do not take theirs either");
    assert.deepEqual(store.size, { traces: 4, spans: 4, bytes: 40 });
    assert.equal(store.trace(step(9))?.spans.length, 1);
  });

  it("forgets whole traces when they are too old, also when nothing new comes", () => {
    let now = 0;
    const store = new TraceStore({ ...STORE_LIMITS, ageMs: 1_000 }, () => now);
    store.add(encoded(span({ traceId: A }), 10));
    now = 600;
    store.add(encoded(span({ traceId: A }), 10));
    store.add(encoded(span({ traceId: B }), 10));
    now = 1_000;
    assert.equal(store.trace(A)?.spans.length, 2);
    now = 1_001;
    assert.equal(store.trace(A), undefined);
    assert.deepEqual(store.size, { traces: 1, spans: 1, bytes: 10 });
    now = 1_601;
    assert.deepEqual([...store.traces()], []);
  });

  it("lower-cases names as Zipkin does", () => {
    const store = new TraceStore();
    const remoteEndpoint = { serviceName: "GateWay", port: 1 };
    store.add(encoded(span({ name: "POST /v1", localEndpoint: { serviceName: "Vitrine" }, remoteEndpoint }), 10));
    const [stored] = store.trace(A)?.spans ?? [];
    assert.deepEqual(
      [stored?.name, stored?.localEndpoint.serviceName, stored?.remoteEndpoint],
      ["post /v1", "vitrine", { serviceName: "gateway", port: 1 }],
    );
  });

  it("takes a trace's time from its root, else from its first span", () => {
    const began = (...timestamps: readonly number[]): number | undefined => {
      const store = new TraceStore();
      for (const [index, timestamp] of timestamps.entries()) {
        store.add(encoded(span({ timestamp, ...(index === 0 ? {} : { parentId: B }) })));
      }
      return store.trace(A)?.began;
    };
    assert.equal(began(T, T - 5), T);
    const orphans = new TraceStore();
    for (const timestamp of [T, T - 5]) orphans.add(encoded(span({ parentId: B, timestamp })));
    assert.equal(orphans.trace(A)?.began, T - 5);
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
