import assert from "node:assert/strict";
import type { TracerProvider } from "@opentelemetry/api";
import { OnnxRuntimeInstrumentation, TransformersInstrumentation } from "../../../src/instrumentation/index.js";
import { fakeOnnxRuntime } from "../../support/fake-onnxruntime.js";
import { fakeTransformers, ids } from "../../support/fake-transformers.js";
import { RecordingHarness, useContextManager } from "./harness.js";

function using<T extends { setTracerProvider(provider: TracerProvider): void }>(
  one: T,
  { provider }: RecordingHarness,
): T {
  one.setTracerProvider(provider);
  return one;
}

/** Every function of the library that a patch may replace. */
function functionsOf(library: ReturnType<typeof fakeTransformers>): unknown[] {
  const classes = [
    library.OverridingModel,
    library.TextGenerationPipeline,
    library.ReadingTokenizer,
    library.AutoTokenizer,
  ];
  const owners = classes.flatMap((one) => {
    const parent: object = Object.getPrototypeOf(one);
    return [one, one.prototype, parent, Reflect.get(parent, "prototype") as object | undefined];
  });
  const found = owners.flatMap((owner) =>
    owner == null ? [] : Object.values(Object.getOwnPropertyDescriptors(owner)).map(({ value }) => value as unknown),
  );
  return [...found, library.pipeline];
}

describe("instrumentations as OpenTelemetry has them", () => {
  useContextManager();
  let harness: RecordingHarness;
  let library: ReturnType<typeof fakeTransformers>;
  const generate = () => new library.OverridingModel().generate({ input_ids: ids(1, 2) });

  beforeEach(() => {
    harness = new RecordingHarness();
    library = fakeTransformers(harness.clock);
  });

  it("records with the provider it was given, with every enabling once", async () => {
    const one = using(new TransformersInstrumentation(), harness);
    library = one.instrumentModule(library);
    one.enable();
    one.instrumentModule(library);
    await generate();
    assert.equal(harness.spans.filter(({ name }) => name === "model.generate").length, 1);
  });

  it("leaves not a trace when disabled, and comes back when enabled", async () => {
    const before = functionsOf(library);
    const one = using(new TransformersInstrumentation(), harness);
    one.instrumentModule(library);
    assert.notDeepEqual(functionsOf(library), before);
    one.disable();
    assert.deepEqual(functionsOf(library), before);
    await generate();
    assert.deepEqual(harness.spans, []);
    one.enable();
    await generate();
    assert.equal(harness.spans.length, 3);
  });

  it("makes one span where it is registered twice, until the last one is disabled", async () => {
    const before = functionsOf(library);
    const [one, two] = [new TransformersInstrumentation(), new TransformersInstrumentation()];
    for (const each of [one, two]) using(each, harness).instrumentModule(library);
    await generate();
    assert.equal(harness.spans.length, 3);
    one.disable();
    await generate();
    assert.equal(harness.spans.length, 6);
    two.disable();
    await generate();
    assert.equal(harness.spans.length, 6);
    assert.deepEqual(functionsOf(library), before);
  });

  it("does nothing before it is enabled", async () => {
    const one = using(new TransformersInstrumentation({ enabled: false }), harness);
    assert.equal(one.instrumentModule(library), library);
    await generate();
    assert.deepEqual(harness.spans, []);
    one.enable();
    await generate();
    assert.equal(harness.spans.length, 3);
  });

  it("takes another trace detail at any time", async () => {
    const one = using(new TransformersInstrumentation({ traceDetail: "step" }), harness);
    one.instrumentModule(library);
    await generate();
    assert.equal(harness.spans.length, 5);
    one.setConfig({ traceDetail: "phase" });
    await generate();
    assert.equal(harness.spans.length, 8);
  });

  it("ends the decode steps that are open when it is disabled", async () => {
    const runtime = fakeOnnxRuntime(harness.clock);
    const one = using(new OnnxRuntimeInstrumentation(), harness);
    one.instrumentModule(runtime);
    const session = await runtime.InferenceSession.create("lm.onnx");
    await session.run({ input_ids: ids(1, 1), past_0: { dims: [1, 2, 3, 4] } });
    assert.deepEqual(harness.tree(), ["model.load"]);
    one.disable();
    assert.deepEqual(harness.tree().sort(), ["inference.forward decode", "model.load"]);
  });

  it("keeps classes what they are", async () => {
    const { TextGenerationPipeline, OverridingModel } = library;
    using(new TransformersInstrumentation(), harness).instrumentModule(library);
    const pipe = await library.pipeline("text-generation", "tiny");
    assert.ok(pipe instanceof TextGenerationPipeline);
    assert.equal(OverridingModel.prototype.generate.name, "generate");
    assert.equal(library.pipeline.length, 2);
  });
});
