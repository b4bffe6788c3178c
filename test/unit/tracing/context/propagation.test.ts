import assert from "node:assert/strict";
import {
  defaultTextMapGetter,
  defaultTextMapSetter,
  ROOT_CONTEXT,
  type SpanContext,
  TraceFlags,
  trace,
} from "@opentelemetry/api";
import type { PropagationFormat } from "../../../../src/tracing/context/propagation.js";
import { readHeaders, writeHeaders } from "../../../../src/tracing/context/propagation.js";
import { contextFrom, headersOf, headerText, ZipkinPropagator } from "../../../../src/tracing/context/propagator.js";
import { type SamplingState, samplingState } from "../../../../src/tracing/context/trace-context.js";

const TRACE = "463ac35c9f6413ad48485a3953bb6124";
const SHORT = "48485a3953bb6124";
const PADDED = `0000000000000000${SHORT}`;
const SPAN = "a2fb4a1d1a96d312";
const IDS = { traceId: TRACE, spanId: SPAN };
const MULTI = { "x-b3-traceid": TRACE, "x-b3-spanid": SPAN };
const FORMATS: readonly PropagationFormat[] = ["b3multi", "b3", "w3c"];
const STATES: readonly SamplingState[] = ["defer", "deny", "accept", "debug"];

type Headers = Record<string, string>;
const read = (headers: Headers) => readHeaders((name) => headers[name]);

/** Headers, the trace id they give (undefined: none), and the decision. */
const CASES: readonly [string, Headers, string | undefined, SamplingState][] = [
  ["nothing", {}, undefined, "defer"],
  ["multi without a decision", MULTI, TRACE, "defer"],
  ["multi, sampled", { ...MULTI, "x-b3-sampled": "1" }, TRACE, "accept"],
  ["multi, not sampled", { ...MULTI, "x-b3-sampled": "0" }, TRACE, "deny"],
  ["multi, sampled as a word", { ...MULTI, "x-b3-sampled": "true" }, TRACE, "accept"],
  ["multi, not sampled as a word", { ...MULTI, "x-b3-sampled": "False" }, TRACE, "deny"],
  ["multi, debug", { ...MULTI, "x-b3-flags": "1" }, TRACE, "debug"],
  ["multi, debug outranks not sampled", { ...MULTI, "x-b3-flags": "1", "x-b3-sampled": "0" }, TRACE, "debug"],
  ["multi, flags 0 decide nothing", { ...MULTI, "x-b3-flags": "0" }, TRACE, "defer"],
  ["multi, an unknown decision counts as absent", { ...MULTI, "x-b3-sampled": "2" }, TRACE, "defer"],
  ["multi, 64-bit", { ...MULTI, "x-b3-traceid": SHORT }, PADDED, "defer"],
  ["multi, parent id is not needed", { ...MULTI, "x-b3-parentspanid": "zz" }, TRACE, "defer"],
  ["multi, upper case", { ...MULTI, "x-b3-traceid": TRACE.toUpperCase() }, undefined, "defer"],
  ["multi, all-zero trace id", { ...MULTI, "x-b3-traceid": "0".repeat(32) }, undefined, "defer"],
  ["multi, all-zero span id", { ...MULTI, "x-b3-spanid": "0".repeat(16) }, undefined, "defer"],
  ["multi, trace id too long", { ...MULTI, "x-b3-traceid": `${TRACE}0` }, undefined, "defer"],
  ["multi, trace id of 31 digits", { ...MULTI, "x-b3-traceid": TRACE.slice(1) }, undefined, "defer"],
  ["multi, trace id too short", { ...MULTI, "x-b3-traceid": "abc" }, undefined, "defer"],
  ["multi, no span id", { "x-b3-traceid": TRACE, "x-b3-sampled": "0" }, undefined, "deny"],
  ["lone sampled", { "x-b3-sampled": "1" }, undefined, "accept"],
  ["lone not sampled", { "x-b3-sampled": "0" }, undefined, "deny"],
  ["lone flags", { "x-b3-flags": "1" }, undefined, "debug"],
  ["single without a decision", { b3: `${TRACE}-${SPAN}` }, TRACE, "defer"],
  ["single, sampled", { b3: `${TRACE}-${SPAN}-1` }, TRACE, "accept"],
  ["single, not sampled", { b3: `${TRACE}-${SPAN}-0` }, TRACE, "deny"],
  ["single, debug", { b3: `${TRACE}-${SPAN}-d` }, TRACE, "debug"],
  ["single with parent", { b3: `${TRACE}-${SPAN}-1-05e3ac9a4f6e3b90` }, TRACE, "accept"],
  ["single, 64-bit", { b3: `${SHORT}-${SPAN}-1` }, PADDED, "accept"],
  ["single 0", { b3: "0" }, undefined, "deny"],
  ["single 1", { b3: "1" }, undefined, "accept"],
  ["single d", { b3: "d" }, undefined, "debug"],
  ["single, unknown letter", { b3: "x" }, undefined, "defer"],
  ["single, upper case", { b3: `${TRACE.toUpperCase()}-${SPAN}-1` }, undefined, "defer"],
  ["single, trace id of 20 digits", { b3: `${TRACE.slice(12)}-${SPAN}-1` }, undefined, "defer"],
  ["single, all zero", { b3: `${"0".repeat(32)}-${SPAN}-1` }, undefined, "defer"],
  ["single, bad decision", { b3: `${TRACE}-${SPAN}-2` }, undefined, "defer"],
  ["single, bad parent", { b3: `${TRACE}-${SPAN}-1-zz` }, undefined, "defer"],
  ["single, trailing dash", { b3: `${TRACE}-${SPAN}-` }, undefined, "defer"],
  ["malformed single, good multi", { b3: "garbage", ...MULTI, "x-b3-sampled": "1" }, TRACE, "accept"],
  ["single outranks multi", { b3: `${PADDED}-${SPAN}-0`, ...MULTI, "x-b3-sampled": "1" }, PADDED, "deny"],
  ["traceparent, sampled", { traceparent: `00-${TRACE}-${SPAN}-01` }, TRACE, "accept"],
  ["traceparent, not sampled", { traceparent: `00-${TRACE}-${SPAN}-00` }, TRACE, "deny"],
  ["traceparent, only the lowest flag counts", { traceparent: `00-${TRACE}-${SPAN}-02` }, TRACE, "deny"],
  ["traceparent of a later version", { traceparent: `cc-${TRACE}-${SPAN}-01-more` }, TRACE, "accept"],
  ["traceparent 00 with a fifth field", { traceparent: `00-${TRACE}-${SPAN}-01-more` }, undefined, "defer"],
  ["traceparent of version ff", { traceparent: `ff-${TRACE}-${SPAN}-01` }, undefined, "defer"],
  ["traceparent, upper case", { traceparent: `00-${TRACE.toUpperCase()}-${SPAN}-01` }, undefined, "defer"],
  ["traceparent, all zero", { traceparent: `00-${"0".repeat(32)}-${SPAN}-01` }, undefined, "defer"],
  ["traceparent, 64-bit", { traceparent: `00-${SHORT}-${SPAN}-01` }, undefined, "defer"],
  ["multi outranks traceparent", { ...MULTI, traceparent: `00-${PADDED}-${SPAN}-01` }, TRACE, "defer"],
  ["malformed b3, good traceparent", { b3: "-", traceparent: `00-${TRACE}-${SPAN}-01` }, TRACE, "accept"],
  ["b3: 0 overrides a traceparent's yes", { b3: "0", traceparent: `00-${TRACE}-${SPAN}-01` }, TRACE, "deny"],
  [
    "a lone flag overrides a traceparent's no",
    { "x-b3-flags": "1", traceparent: `00-${TRACE}-${SPAN}-00` },
    TRACE,
    "debug",
  ],
];

describe("propagation", () => {
  for (const [name, headers, traceId, sampling] of CASES) {
    it(`reads ${name}`, () => {
      const found = read(headers);
      assert.deepEqual(found.ids, traceId === undefined ? undefined : { traceId, spanId: SPAN });
      assert.equal(found.sampling, sampling);
    });
  }

  it("keeps ids and all four decisions through every format", () => {
    for (const format of FORMATS) {
      for (const sampling of STATES) {
        const back = read(writeHeaders({ ids: IDS, sampling }, format));
        assert.deepEqual([format, back.ids, back.sampling], [format, IDS, sampling]);
      }
    }
  });

  it("keeps a decision without ids through both forms of B3", () => {
    for (const format of ["b3", "b3multi"] as const) {
      for (const sampling of STATES) {
        assert.deepEqual(read(writeHeaders({ sampling }, format)), { sampling }, `${format} ${sampling}`);
      }
    }
    assert.deepEqual(writeHeaders({ sampling: "debug" }, "w3c"), {});
  });

  it("writes 64-bit ids short in B3 and padded in W3C", () => {
    const headers = { ids: { traceId: PADDED, spanId: SPAN }, sampling: "accept" } as const;
    assert.equal(writeHeaders(headers, "b3").b3, `${SHORT}-${SPAN}-1`);
    assert.equal(writeHeaders(headers, "b3multi")["x-b3-traceid"], SHORT);
    assert.equal(writeHeaders(headers, "w3c").traceparent, `00-${PADDED}-${SPAN}-01`);
  });

  it("sends no X-B3-Sampled beside the debug flag, as B3 asks", () => {
    assert.deepEqual(writeHeaders({ ids: IDS, sampling: "debug" }, "b3multi"), { ...MULTI, "x-b3-flags": "1" });
  });

  it("passes tracestate through, and marks only what traceparent cannot say", () => {
    const incoming = { traceparent: `00-${TRACE}-${SPAN}-01`, tracestate: "rojo=00f067aa0ba902b7, congo=t61" };
    const plain = writeHeaders(read(incoming), "w3c");
    assert.equal(plain.tracestate, "rojo=00f067aa0ba902b7,congo=t61");
    const debug = writeHeaders({ ...read(incoming), sampling: "debug" }, "w3c");
    assert.equal(debug.tracestate, "vitrine=debug,rojo=00f067aa0ba902b7,congo=t61");
    const again = writeHeaders({ ...read(debug), sampling: "accept" }, "w3c");
    assert.equal(again.tracestate, "rojo=00f067aa0ba902b7,congo=t61");
  });

  it("takes tracestate from a traceparent of the same trace when B3 gives the ids", () => {
    const tracestate = "rojo=1";
    const same = read({ ...MULTI, traceparent: `00-${TRACE}-1111111111111111-01`, tracestate });
    assert.equal(same.traceState?.serialize(), tracestate);
    const other = read({ ...MULTI, traceparent: `00-${PADDED}-${SPAN}-01`, tracestate });
    assert.equal(other.traceState, undefined);
  });

  it("does not believe a note in tracestate that contradicts the flag", () => {
    assert.equal(read({ traceparent: `00-${TRACE}-${SPAN}-00`, tracestate: "vitrine=debug" }).sampling, "deny");
    assert.equal(read({ traceparent: `00-${TRACE}-${SPAN}-01`, tracestate: "vitrine=defer" }).sampling, "accept");
  });

  it("survives any bytes, and what it accepts is always valid", () => {
    const random = lcg(20_240_607);
    const names = ["b3", "x-b3-traceid", "x-b3-spanid", "x-b3-sampled", "x-b3-flags", "traceparent", "tracestate"];
    const good = [TRACE, SPAN, SHORT, "1", "0", "d", `${TRACE}-${SPAN}-1`, `00-${TRACE}-${SPAN}-01`, "a=b"];
    let accepted = 0;
    for (let round = 0; round < 20_000; round++) {
      const headers: Headers = {};
      for (const name of names) {
        if (random() < 0.5) headers[name] = mutate(good[Math.floor(random() * good.length)] ?? "", random);
      }
      const { ids, sampling, traceState } = read(headers);
      assert.ok(STATES.includes(sampling));
      if (ids === undefined) continue;
      accepted++;
      assert.match(ids.traceId, /^(?!0{32})[0-9a-f]{32}$/);
      assert.match(ids.spanId, /^(?!0{16})[0-9a-f]{16}$/);
      for (const format of FORMATS) {
        assert.deepEqual(read(writeHeaders({ ids, sampling, ...(traceState ? { traceState } : {}) }, format)).ids, ids);
      }
    }
    assert.ok(accepted > 500, `only ${accepted} rounds got past the parser`);
  });
});

function lcg(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

function mutate(text: string, random: () => number): string {
  if (random() < 0.6) return text;
  const at = Math.floor(random() * (text.length + 1));
  const inserted = String.fromCharCode(Math.floor(random() * (random() < 0.9 ? 128 : 65_536)));
  return text.slice(0, at) + (random() < 0.5 ? inserted : "") + text.slice(at + (random() < 0.5 ? 1 : 0));
}

describe("ZipkinPropagator", () => {
  const extract = (carrier: unknown) => new ZipkinPropagator().extract(ROOT_CONTEXT, carrier, defaultTextMapGetter);

  it("gives the caller's span as a remote parent, and its decision", () => {
    const context = extract({ b3: `${SHORT}-${SPAN}-d` });
    const parent = trace.getSpanContext(context);
    assert.equal(parent?.traceId, PADDED);
    assert.equal(parent?.isRemote, true);
    assert.equal(parent?.traceFlags, TraceFlags.SAMPLED);
    assert.equal(samplingState(context), "debug");
  });

  it("changes encoding without losing the decision", () => {
    for (const format of FORMATS) {
      for (const sampling of STATES) {
        const carrier: Headers = {};
        const context = contextFrom(ROOT_CONTEXT, { ids: IDS, sampling });
        new ZipkinPropagator(format).inject(context, carrier, defaultTextMapSetter);
        assert.equal(samplingState(extract(carrier)), sampling, `${format} ${sampling}`);
      }
    }
  });

  it("injects a local span's own decision, and debug from the caller", () => {
    const local = (traceFlags: number): SpanContext => ({ ...IDS, traceFlags });
    const deferred = contextFrom(ROOT_CONTEXT, { ids: IDS, sampling: "defer" });
    assert.equal(headersOf(trace.setSpanContext(deferred, local(1))).sampling, "accept");
    assert.equal(headersOf(trace.setSpanContext(deferred, local(0))).sampling, "deny");
    const debug = contextFrom(ROOT_CONTEXT, { sampling: "debug" });
    assert.equal(headersOf(trace.setSpanContext(debug, local(1))).sampling, "debug");
  });

  it("joins repeated headers and ignores what is not text", () => {
    assert.equal(headerText(["a=1", "b=2"]), "a=1,b=2");
    assert.equal(headerText(["a", 1]), undefined);
    assert.equal(headerText([]), undefined);
    assert.equal(trace.getSpanContext(extract({ b3: { toString: () => `${TRACE}-${SPAN}-1` } })), undefined);
  });

  it("names every header it may read or set", () => {
    assert.ok(
      ["b3", "x-b3-traceid", "traceparent", "tracestate"].every((f) => new ZipkinPropagator().fields().includes(f)),
    );
  });
});
