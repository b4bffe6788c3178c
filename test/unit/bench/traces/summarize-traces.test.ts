import assert from "node:assert/strict";
import { RecordedRequest } from "../../../../src/bench/traces/recorded-request.js";
import { summarizeTraces } from "../../../../src/bench/traces/summarize-traces.js";
import type { ReadTraces } from "../../../../src/bench/traces/trace-reader.js";
import type { RecordedSpan } from "../../../../src/bench/traces/zipkin-json.js";
import { recordedSpan, streamedRecord, streamedTrace } from "../../../support/recorded-traces.js";

const read = (...traces: RecordedSpan[][]): ReadTraces => ({
  kind: "read",
  traces: new Map(traces.map((spans) => [spans[0]?.traceId ?? "", new RecordedRequest(spans)])),
});
const client = recordedSpan("post", 3_599_998, 3_600_103, { id: "client", kind: "CLIENT", parentId: "run elsewhere" });

describe("summarizeTraces", () => {
  it("counts complete traces, names those that are missing, and says how well the server's span is covered", () => {
    const records = [streamedRecord(), streamedRecord({ traceId: "b" }), streamedRecord({ traceId: "c" })];
    const { traces } = summarizeTraces(records, read(streamedTrace(), streamedTrace("b")), false);
    assert.equal(traces?.sent, 3);
    assert.equal(traces?.complete, 2);
    assert.deepEqual(traces?.missing, ["c"]);
    assert.equal(traces?.orphans, 0);
    assert.deepEqual(traces?.coverage, { min: 1, median: 1 });
    assert.equal(traces?.e2e.decode, 60);
  });

  it("wants the client's span where it is stored, too", () => {
    const without = summarizeTraces([streamedRecord()], read(streamedTrace()), true).traces;
    assert.equal(without?.complete, 0);
    assert.equal(without?.orphans, 1, "the server's parent is not there");
    const within = summarizeTraces([streamedRecord()], read([client, ...streamedTrace()]), true).traces;
    assert.equal(within?.complete, 1);
    assert.equal(within?.orphans, 0);
  });

  it("finds spans whose parent is nowhere, and time that no span tells of", () => {
    const lost = recordedSpan("lost", 3_600_001, 3_600_002, { parentId: "gone" });
    assert.equal(summarizeTraces([streamedRecord()], read([...streamedTrace(), lost]), false).traces?.orphans, 1);
    const cut = streamedTrace().map((span) => (span.id === "generate" ? { ...span, duration: 50_000 } : span));
    const half = cut.filter(({ name, tags }) => name !== "stream" && tags["ai.phase"] !== "decode");
    assert.equal(summarizeTraces([streamedRecord()], read(half), false).traces?.coverage?.min, 0.5);
  });

  it("names the ten slowest, those first that took longest from when they were meant to go", () => {
    const records = Array.from({ length: 12 }, (_, i) => streamedRecord({ traceId: `t${i}`, intended: 1_000 - i }));
    const { slowest } = summarizeTraces(records, read(streamedTrace("t0")), false).traces ?? {};
    assert.equal(slowest?.length, 10);
    assert.deepEqual(slowest?.[0], { traceId: "t11", e2e: 117 });
  });

  it("says plainly why there is nothing to tell", () => {
    const unavailable: ReadTraces = { kind: "unavailable", why: "it answered 404." };
    assert.equal(summarizeTraces([streamedRecord()], unavailable, false).tracesUnavailable, "it answered 404.");
    const others = summarizeTraces([streamedRecord()], read([client]), true);
    assert.match(others.tracesUnavailable ?? "", /The target left no span/);
    const { traceId: _, ...untraced } = streamedRecord();
    assert.match(summarizeTraces([untraced], read(), true).tracesUnavailable ?? "", /No request was traced/);
  });
});
