import assert from "node:assert/strict";
import { ROOT_CONTEXT, TraceFlags, trace } from "@opentelemetry/api";
import { SamplingDecision } from "@opentelemetry/sdk-trace-node";
import { contextFrom } from "../../../src/tracing/context/propagator.js";
import { TraceIdSampler } from "../../../src/tracing/context/sampler.js";
import { type SamplingState, withSamplingState } from "../../../src/tracing/context/trace-context.js";

const LOW = `${"f".repeat(19)}${"0".repeat(13)}`;
const HIGH = `${"0".repeat(18)}1${"f".repeat(13)}`;

function keeps(rate: number, traceId: string, context = ROOT_CONTEXT): boolean {
  return new TraceIdSampler(rate).shouldSample(context, traceId).decision === SamplingDecision.RECORD_AND_SAMPLED;
}

describe("TraceIdSampler", () => {
  it("keeps all at 1 and none at 0", () => {
    assert.deepEqual([keeps(1, LOW), keeps(1, HIGH), keeps(0, LOW), keeps(0, HIGH)], [true, true, false, false]);
  });

  it("decides by the low bits of the id alone", () => {
    assert.equal(keeps(0.5, LOW), false);
    assert.equal(keeps(0.5, HIGH), true);
    const middle = (digits: string) => `${"0".repeat(18)}1${digits}`;
    assert.equal(keeps(0.5, middle("7ffffffffffff")), false);
    assert.equal(keeps(0.5, middle("8000000000000")), true);
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
});
