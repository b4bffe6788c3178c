import assert from "node:assert/strict";
import { ROOT_CONTEXT } from "@opentelemetry/api";
import { SamplingDecision } from "@opentelemetry/sdk-trace-node";
import { HeadSampler } from "../../../../src/tracing/context/sampler.js";
import { stepTraceId } from "../../../../src/tracing/spans/trace-ids.js";

const STEPS = 10_000;
const idsOf = (id: string): string[] =>
  Array.from({ length: STEPS }, (_, step) =>
    stepTraceId({ id, model: "m", device: { requested: "cpu", provider: "cpu", reason: "" } }, step),
  );

describe("trace ids of steps", () => {
  const ids = idsOf("e3f1a2b3c4d5e6f70123456789abcdef");

  it("say the step's number in their upper half", () => {
    assert.ok(ids.every((id) => /^[0-9a-f]{32}$/.test(id)));
    assert.equal(ids[143]?.slice(0, 16), "e3f1a00000000143");
  });

  it("share their lower half with no other step of the run, nor with another run's", () => {
    const lower = [...ids, ...idsOf("e3f1a2b3c4d5e6f7fedcba9876543210")].map((id) => id.slice(16));
    assert.equal(new Set(lower).size, 2 * STEPS);
  });

  it("are sampled as if they were random, by the 56 bits of OpenTelemetry's and the 64 of Zipkin's", () => {
    const sampler = new HeadSampler({ rate: 0.1, limit: null, rules: [] });
    const context = ROOT_CONTEXT;
    const sampled = (id: string) => sampler.shouldSample(context, id).decision === SamplingDecision.RECORD_AND_SAMPLED;
    // As zipkin-server's CollectorSampler: the lower half's magnitude against a boundary.
    const boundary = 2n ** 63n / 10n;
    const collected = (id: string) => {
      const low = BigInt.asIntN(64, BigInt(`0x${id.slice(16)}`));
      return (low < 0n ? -low : low) <= boundary;
    };
    for (const keeps of [sampled, collected]) {
      // Of a fair draw, 1,000 with a standard deviation of 30.
      const kept = ids.filter(keeps).length;
      assert.ok(kept > 850 && kept < 1_150, `${kept} of ${STEPS}`);
    }
  });
});
