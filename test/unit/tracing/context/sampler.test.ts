import assert from "node:assert/strict";
import { type Context, ROOT_CONTEXT, TraceFlags, trace } from "@opentelemetry/api";
import { BasicTracerProvider, SamplingDecision } from "@opentelemetry/sdk-trace-node";
import { contextFrom } from "../../../../src/tracing/context/propagator.js";
import { HeadSampler, isWithin, withSampledRequest } from "../../../../src/tracing/context/sampler.js";
import { type SamplingState, withSamplingState } from "../../../../src/tracing/context/trace-context.js";

const LOW = `${"f".repeat(18)}${"0".repeat(14)}`;
const HIGH = `${"0".repeat(18)}${"f".repeat(14)}`;

const KEEP = SamplingDecision.RECORD_AND_SAMPLED;

function keeps(rate: number, traceId: string, context = ROOT_CONTEXT): boolean {
  const sampler = new HeadSampler({ rate, limit: null, rules: [] });
  return sampler.shouldSample(context, traceId).decision === KEEP;
}

describe("HeadSampler", () => {
  it("keeps all at 1 and none at 0", () => {
    assert.deepEqual([keeps(1, LOW), keeps(1, HIGH), keeps(0, LOW), keeps(0, HIGH)], [true, true, false, false]);
  });

  it("decides by the low bits of the id alone", () => {
    assert.equal(keeps(0.5, LOW), false);
    assert.equal(keeps(0.5, HIGH), true);
    const ending = (digits: string) => `${"9".repeat(18)}${digits}`;
    assert.equal(keeps(0.5, ending("7fffffffffffff")), false);
    assert.equal(keeps(0.5, ending("80000000000000")), true);
  });

  it("honours the caller whatever the rate", () => {
    const ids = { traceId: LOW, spanId: "a2fb4a1d1a96d312" };
    const said = (sampling: SamplingState) => contextFrom(ROOT_CONTEXT, { ids, sampling });
    assert.equal(keeps(0, LOW, said("accept")), true);
    assert.equal(keeps(0, LOW, said("debug")), true);
    assert.equal(keeps(1, LOW, said("deny")), false);
    assert.equal(keeps(0, LOW, said("defer")), false);
    assert.equal(keeps(1, LOW, said("defer")), true);
    assert.equal(keeps(1, LOW, withSamplingState(ROOT_CONTEXT, "deny")), false);
  });

  it("follows a local parent, and a remote one that another propagator read", () => {
    const parent = (traceFlags: number, isRemote: boolean) =>
      trace.setSpanContext(ROOT_CONTEXT, { traceId: LOW, spanId: "a2fb4a1d1a96d312", traceFlags, isRemote });
    for (const isRemote of [true, false]) {
      assert.equal(keeps(0, LOW, parent(TraceFlags.SAMPLED, isRemote)), true);
      assert.equal(keeps(1, LOW, parent(TraceFlags.NONE, isRemote)), false);
    }
  });

  it("keeps the share it is asked for, down to one in a thousand, and nests lower shares in higher ones", () => {
    const ids = randomTraceIds(200_000);
    for (const rate of [0.001, 0.01]) {
      const kept = ids.filter((id) => isWithin(rate, id)).length;
      // Five standard deviations of a binomial count; the ids are the same in every run.
      const spread = 5 * Math.sqrt(ids.length * rate * (1 - rate));
      assert.ok(Math.abs(kept - ids.length * rate) < spread, `${kept} of ${ids.length} at ${rate}`);
    }
    assert.ok(ids.filter((id) => isWithin(0.001, id)).every((id) => isWithin(0.01, id)));
  });

  it("agrees with samplers that compare the low 56 bits with the threshold of the specification", () => {
    const threshold = (rate: number): bigint => 2n ** 56n - BigInt(Math.round(rate * 2 ** 56));
    for (const rate of [0.001, 0.01, 0.25]) {
      for (const id of randomTraceIds(20_000)) {
        assert.equal(isWithin(rate, id), BigInt(`0x${id.slice(-14)}`) >= threshold(rate), `${rate} ${id}`);
      }
    }
  });

  it("keeps no more a second than the limit, and what callers ask for beside it", () => {
    let now = 0;
    const sampler = new HeadSampler({ rate: 1, limit: 2, rules: [] }, { now: () => now });
    const decide = (context = ROOT_CONTEXT) => sampler.shouldSample(context, HIGH).decision === KEEP;
    assert.deepEqual([decide(), decide(), decide()], [true, true, false]);
    assert.equal(decide(withSamplingState(ROOT_CONTEXT, "accept")), true);
    now = 499;
    assert.equal(decide(), false);
    now = 500;
    assert.deepEqual([decide(), decide()], [true, false]);
    now = 60_000;
    assert.deepEqual([decide(), decide(), decide()], [true, true, false], "an idle minute saves up one second's worth");
  });

  it("lets one trace through at a time under a limit below one a second", () => {
    let now = 0;
    const sampler = new HeadSampler({ rate: 1, limit: 0.5, rules: [] }, { now: () => now });
    const decide = () => sampler.shouldSample(ROOT_CONTEXT, HIGH).decision === KEEP;
    assert.deepEqual([decide(), decide()], [true, false]);
    now = 1_999;
    assert.equal(decide(), false);
    now = 2_000;
    assert.equal(decide(), true);
  });

  it("takes the rate of the first rule that holds, from the next trace on when they change", () => {
    const rules = [
      { route: "/v1/completions", headers: { "x-team": "blue" }, rate: 1 },
      { route: "/v1/completions", rate: 0 },
      { model: "other", rate: 0 },
    ];
    const sampler = new HeadSampler({ rate: 1, limit: null, rules }, { model: "tiny" });
    const decide = (path: string, headers = {}) =>
      sampler.shouldSample(withSampledRequest(ROOT_CONTEXT, { path, headers }), LOW).decision === KEEP;
    assert.equal(decide("/v1/completions", { "x-team": "blue" }), true);
    assert.equal(decide("/v1/completions", { "x-team": "red" }), false);
    assert.equal(decide("/v1/chat/completions"), true);
    sampler.policy = { rate: 0, limit: null, rules: [] };
    assert.equal(decide("/v1/completions", { "x-team": "blue" }), false);
  });

  it("records what it does not keep when asked to, with all below it, but not what the caller denied", () => {
    const sampler = new HeadSampler({ rate: 0, limit: null, rules: [] }, { recordAll: true });
    const decide = (context: Context) => sampler.shouldSample(context, LOW).decision;
    assert.equal(decide(ROOT_CONTEXT), SamplingDecision.RECORD);
    const ids = { traceId: LOW, spanId: "a2fb4a1d1a96d312" };
    assert.equal(decide(contextFrom(ROOT_CONTEXT, { ids, sampling: "defer" })), SamplingDecision.RECORD);
    assert.equal(decide(contextFrom(ROOT_CONTEXT, { ids, sampling: "deny" })), SamplingDecision.NOT_RECORD);
    const tracer = new BasicTracerProvider({ sampler }).getTracer("test");
    const parent = trace.setSpan(ROOT_CONTEXT, tracer.startSpan("parent"));
    assert.equal(decide(parent), SamplingDecision.RECORD);
  });
});

/** The same ids in every run: mulberry32, 32 bits at a time. */
function randomTraceIds(count: number): string[] {
  let state = 1;
  const next = (): string => {
    state = (state + 0x6d2b79f5) | 0;
    let bits = Math.imul(state ^ (state >>> 15), 1 | state);
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits;
    return ((bits ^ (bits >>> 14)) >>> 0).toString(16).padStart(8, "0");
  };
  return Array.from({ length: count }, () => next() + next() + next() + next());
}
