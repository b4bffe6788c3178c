import assert from "node:assert/strict";
import { decodeMs, fitStepModel } from "../../../../src/bench/plan/step-model.js";
import { requestSamples } from "../../../../src/bench/plan/step-samples.js";
import { recordedSteps } from "../../../../src/bench/plan/step-spans.js";
import type { RecordedSpan } from "../../../../src/bench/traces/zipkin-json.js";
import { recordedSpan } from "../../../support/recorded-traces.js";
import { workerTraces } from "../../../support/worker-traces.js";

const step = (number: number, start: number, ms: number, tags: Readonly<Record<string, string>>): RecordedSpan =>
  recordedSpan("engine.step", start, start + ms, {
    traceId: `e3f1a${String(number).padStart(11, "0")}${"9".repeat(15)}${number % 10}`,
    tags,
  });
const decode = (rows: number, context: number) => ({
  "ai.phase": "decode",
  "ai.batch.size": String(rows),
  "ai.tokens": String(rows),
  "ai.step.context_tokens": String(context),
});

describe("steps that were recorded one by one", () => {
  it("are samples of their phase, with what the engine did until the next that followed at once", () => {
    const prefill = { ...decode(2, 96), "ai.phase": "prefill", "ai.tokens": "64" };
    const traces = [[step(1, 0, 4, prefill)], [step(2, 5, 2, decode(2, 100))], [step(3, 900, 2, decode(1, 30))]];
    assert.deepEqual(recordedSteps(traces, "prefill"), [{ steps: 1, rows: 1, tokens: 64, context: 48, ms: 5 }]);
    assert.deepEqual(recordedSteps(traces, "decode"), [
      { steps: 1, rows: 2, tokens: 1, context: 50, ms: 2 },
      { steps: 1, rows: 1, tokens: 1, context: 30, ms: 2 },
    ]);
  });

  it("are believed more than the requests that were in them", () => {
    const steps = Array.from({ length: 30 }, (_, i) => step(i, i * 1e3, 10 * (1 + (i % 5)), decode(1 + (i % 5), 40)));
    const decodes = recordedSteps(
      steps.map((span) => [span]),
      "decode",
    );
    const model = fitStepModel(requestSamples(workerTraces()), { prefill: [], decode: decodes });
    assert.ok(Math.abs(decodeMs(model ?? assert.fail(), 3, 40) - 30) < 0.5);
  });

  it("that failed, or are not told enough of, are left out", () => {
    const { "ai.tokens": _, ...less } = decode(1, 10);
    assert.deepEqual(
      recordedSteps([[step(1, 0, 1, { ...decode(1, 10), error: "lost" }), step(2, 9, 1, less)]], "decode"),
      [],
    );
  });
});
