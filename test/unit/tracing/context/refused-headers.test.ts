import assert from "node:assert/strict";
import { readHeaders } from "../../../../src/tracing/context/propagation.js";
import { findRefusal, RefusedHeaders } from "../../../../src/tracing/context/refused-headers.js";
import { Harness, INCOMING } from "../harness.js";

const TRACE = "463ac35c9f6413ad48485a3953bb6124";
const SPAN = "a2fb4a1d1a96d312";
type Headers = Readonly<Record<string, string>>;
const multi = (traceId: string, spanId = SPAN): Headers => ({ "x-b3-traceid": traceId, "x-b3-spanid": spanId });

/** Headers that give no ids, and what is said of them. */
const CASES: readonly [string, Headers, string | undefined][] = [
  ["nothing", {}, undefined],
  ["an empty header", { b3: "", ...multi("", ""), traceparent: " " }, undefined],
  ["a decision alone", { b3: "0", "x-b3-sampled": "1" }, undefined],
  ["an upper-case trace id", multi(TRACE.toUpperCase()), "x-b3-traceid upper_case"],
  ["an upper-case span id", multi(TRACE, SPAN.toUpperCase()), "x-b3-spanid upper_case"],
  ["a trace id too short", multi("abc"), "x-b3-traceid too_short"],
  ["a trace id between the two lengths", multi(TRACE.slice(8)), "x-b3-traceid too_short"],
  ["a trace id too long", multi(`${TRACE}0`), "x-b3-traceid too_long"],
  ["an all-zero trace id", multi("0".repeat(32)), "x-b3-traceid all_zero"],
  ["an all-zero span id", multi(TRACE, "0".repeat(16)), "x-b3-spanid all_zero"],
  ["no span id", { "x-b3-traceid": TRACE }, "x-b3-spanid missing"],
  ["no trace id", { "x-b3-spanid": SPAN }, "x-b3-traceid missing"],
  ["a repeated trace id", multi(`${TRACE},${TRACE}`), "x-b3-traceid malformed"],
  ["one header, upper case", { b3: `${TRACE.toUpperCase()}-${SPAN}-1` }, "b3 upper_case"],
  ["one header without a span id", { b3: TRACE }, "b3 missing"],
  ["one header with a bad decision", { b3: `${TRACE}-${SPAN}-2` }, "b3 malformed"],
  ["one header of another kind", { b3: "x" }, "b3 malformed"],
  ["a traceparent of 64 bits", { traceparent: `00-${TRACE.slice(16)}-${SPAN}-01` }, "traceparent too_short"],
  ["an all-zero traceparent", { traceparent: `00-${"0".repeat(32)}-${SPAN}-01` }, "traceparent all_zero"],
  ["a traceparent of version ff", { traceparent: `ff-${TRACE}-${SPAN}-01` }, "traceparent malformed"],
  ["a traceparent that is none", { traceparent: "zebra" }, "traceparent malformed"],
];

describe("refused trace headers", () => {
  for (const [name, headers, expected] of CASES) {
    it(`are told: ${name}`, () => {
      const read = (header: string) => headers[header];
      assert.equal(readHeaders(read).ids, undefined);
      const refusal = findRefusal(read);
      assert.equal(refusal && `${refusal.header} ${refusal.reason}`, expected);
    });
  }

  it("are counted by header and reason, and logged once a minute with how many there were", () => {
    const log: string[] = [];
    const refused = new RefusedHeaders((_level, line) => void log.push(line));
    const note = (headers: Headers, now: number) => {
      const read = (name: string) => headers[name];
      refused.note(readHeaders(read), read, now);
    };
    for (const now of [0, 1, 59_999]) note(multi("DEADBEEFDEADBEEF"), now);
    note({ b3: "zebra-zebra" }, 60_000);
    note({ b3: "zebra-zebra", ...multi(TRACE) }, 120_000);
    assert.deepEqual(refused.counts, [
      { header: "x-b3-traceid", reason: "upper_case", count: 3 },
      { header: "b3", reason: "malformed", count: 1 },
    ]);
    assert.equal(log.length, 2, "one that found its ids elsewhere is no loss");
    assert.match(log[0] ?? "", /x-b3-traceid .*upper_case.* last such line: 1\.$/);
    assert.match(log[1] ?? "", /b3 .*malformed.* last such line: 3\.$/);
    assert.doesNotMatch(log.join(), /zebra|deadbeef/i);
  });

  it("are noted of every request", () => {
    const harness = new Harness();
    harness.requests.start({ ...INCOMING, headers: multi("0".repeat(16)) });
    harness.requests.start({ ...INCOMING, headers: multi(TRACE) });
    assert.deepEqual(harness.requests.refused.counts, [{ header: "x-b3-traceid", reason: "all_zero", count: 1 }]);
    assert.equal(harness.log.length, 1);
  });
});
