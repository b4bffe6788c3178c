import assert from "node:assert/strict";
import { patchOnnxRuntime } from "../../../src/instrumentation/onnxruntime-instrumentation.js";
import { patchTransformers } from "../../../src/instrumentation/transformers-instrumentation.js";
import { fakeOnnxRuntime } from "../../support/fake-onnxruntime.js";
import { fakeTransformers, ids } from "../../support/fake-transformers.js";
import { RecordingHarness, useContextManager } from "./harness.js";

/** What a decoder without its prompt's cache is fed, and one with `past` tokens in it. */
const prompt = { input_ids: ids(1, 5), "past_key_values.0.key": { dims: [1, 2, 0, 8] } };
const step = (past: number) => ({ input_ids: ids(1, 1), "past_key_values.0.key": { dims: [1, 2, past, 8] } });

describe("OnnxRuntimeInstrumentation", () => {
  useContextManager();
  let harness: RecordingHarness;
  let runtime: ReturnType<typeof fakeOnnxRuntime>;

  beforeEach(() => {
    harness = new RecordingHarness();
    runtime = fakeOnnxRuntime(harness.clock);
    patchOnnxRuntime(runtime, harness.recorder);
  });

  it("names the model by its directory and says where it runs", async () => {
    await runtime.InferenceSession.create("/home/alice/tiny/onnx/model_q4.onnx", { executionProviders: ["cuda"] });
    assert.deepEqual(harness.named("model.load").attributes, {
      "ai.model.name": "tiny",
      "ai.model.dtype": "q4",
      "ai.device": "cuda",
      "ai.runtime": "node",
    });
  });

  it("takes a model's bytes for no name, and no options for the CPU", async () => {
    await runtime.InferenceSession.create(new Uint8Array(4));
    assert.deepEqual(harness.named("model.load").attributes, { "ai.device": "cpu", "ai.runtime": "node" });
  });

  it("tells prefill and decode by the cache, and gathers the steps until the session's release", async () => {
    const session = await runtime.InferenceSession.create("lm/onnx/model.onnx");
    await session.run(prompt);
    for (let past = 5; past < 9; past++) await session.run(step(past));
    await session.release();
    assert.deepEqual(harness.tree(), ["model.load", "inference.forward prefill", "inference.forward decode"]);
    assert.deepEqual(harness.named("inference.forward", "decode").attributes, {
      "ai.model.name": "lm",
      "ai.device": "cpu",
      "ai.phase": "decode",
      "ai.steps": 4,
      "ai.tokens": 4,
      "ai.batch.mean_size": 1,
      "ai.step_ms.max": 1,
    });
  });

  it("takes several tokens after a cache for a part of a prompt", async () => {
    const session = await runtime.InferenceSession.create("lm.onnx");
    await session.run({ ...step(5), input_ids: ids(1, 3) });
    assert.equal(harness.named("inference.forward").attributes["ai.phase"], "prefill");
  });

  it("believes the switch of a decoder with both branches", async () => {
    const session = await runtime.InferenceSession.create("lm.onnx");
    await session.run({ ...step(1), use_cache_branch: { dims: [1], data: [false] } });
    assert.equal(harness.named("inference.forward").attributes["ai.phase"], "prefill");
  });

  it("gives a model without a cache no phase", async () => {
    const session = await runtime.InferenceSession.create("bert.onnx");
    await session.run({ input_ids: ids(3, 4), attention_mask: ids(3, 4) });
    const { attributes } = harness.named("inference.forward");
    assert.deepEqual(attributes, { "ai.model.name": "bert", "ai.device": "cpu", "ai.tokens": 12, "ai.batch.size": 3 });
  });

  it("keeps the steps of two callers apart", async () => {
    const session = await runtime.InferenceSession.create("lm.onnx");
    const tracer = harness.provider.getTracer("test");
    const caller = async (name: string) =>
      await tracer.startActiveSpan(name, async (span) => {
        await session.run(step(4));
        await session.run(step(5));
        span.end();
      });
    await Promise.all([caller("one"), caller("two")]);
    harness.quiet.elapse();
    const steps = harness.spans.filter(({ name }) => name === "inference.forward");
    assert.deepEqual(
      steps.map(({ attributes }) => attributes["ai.steps"]),
      [2, 2],
    );
    assert.notEqual(steps[0]?.parentSpanContext?.spanId, steps[1]?.parentSpanContext?.spanId);
  });

  it("does not take a run that is under way for a pause", async () => {
    const session = await runtime.InferenceSession.create("lm.onnx");
    const running = session.run(step(4));
    harness.quiet.elapse();
    await running;
    await session.run(step(5));
    harness.quiet.elapse();
    assert.equal(harness.named("inference.forward").attributes["ai.steps"], 2);
  });

  it("ends the span of a run that failed at once", async () => {
    const session = await runtime.InferenceSession.create("lm.onnx");
    const fail = new RangeError("bad input: secret");
    await session.run(step(4));
    await assert.rejects(session.run({ ...step(5), fail }), (thrown) => thrown === fail);
    assert.deepEqual(harness.tree(), ["model.load", "inference.forward decode !RangeError"]);
  });

  it("adds to transformers.js the sessions' creation, and no second span of a pass", async () => {
    const library = fakeTransformers(harness.clock);
    patchTransformers(library, harness.recorder);
    const { sessions } = Object.assign(library.OverridingModel.prototype, { sessions: {} });
    assert.deepEqual(sessions, {});
    const model = new library.OverridingModel();
    model.sessions = { session: await runtime.InferenceSession.create("tiny/onnx/model.onnx") };
    harness.exporter.reset();
    await model.generate({ input_ids: ids(1, 3) });
    assert.deepEqual(harness.tree(), ["model.generate", "  inference.forward prefill", "  inference.forward decode"]);
  });

  it("finds the class in a default export alone", async () => {
    const hidden = fakeOnnxRuntime(harness.clock);
    patchOnnxRuntime({ default: hidden }, harness.recorder);
    await hidden.InferenceSession.create("lm.onnx");
    assert.deepEqual(harness.tree(), ["model.load"]);
  });
});
