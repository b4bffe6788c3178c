import assert from "node:assert/strict";
import { context, SpanStatusCode, trace } from "@opentelemetry/api";
import { AlwaysOffSampler } from "@opentelemetry/sdk-trace-node";
import { patchTransformers } from "../../../src/instrumentation/transformers-instrumentation.js";
import {
  type FakeInputs,
  type FakeTransformers,
  fakeTransformers,
  ids,
  TOOK,
} from "../../support/fake-transformers.js";
import { micros, RecordingHarness, useContextManager } from "./harness.js";

function instrumented(harness = new RecordingHarness()): { harness: RecordingHarness; library: FakeTransformers } {
  const { exports } = patchTransformers(fakeTransformers(harness.clock), harness.recorder);
  return { harness, library: exports as FakeTransformers };
}

type Callable<R> = (input: FakeInputs) => Promise<R>;

describe("TransformersInstrumentation: generate", () => {
  useContextManager();

  it("makes one span of the prefill and one of all decode steps", async () => {
    const { harness, library } = instrumented();
    const answer = await new library.OverridingModel().generate({ input_ids: ids(1, 7) });
    assert.deepEqual(answer.dims, [1, 9]);
    assert.deepEqual(harness.tree(), ["model.generate", "  inference.forward prefill", "  inference.forward decode"]);
  });

  it("says what was asked for and what it came to", async () => {
    const { harness, library } = instrumented();
    const model = await library.AutoModelForCausalLM.from_pretrained("org/fake", { dtype: "q4" });
    await model.generate({ input_ids: ids(1, 7), max_new_tokens: 4, streamer: { put() {} } });
    const ttft = TOOK.prefill;
    const decoding = 3 * (TOOK.sample + TOOK.decode);
    const { attributes, events } = harness.named("model.generate");
    assert.deepEqual(attributes, {
      "ai.model.name": "org/fake",
      "ai.model.dtype": "q4",
      "ai.task.type": "text-generation",
      "ai.outcome": "finished",
      "ai.batch.size": 1,
      "ai.prompt.length": 7,
      "ai.response.length": 4,
      "ai.max_tokens": 4,
      "ai.temperature": 0.5,
      "ai.top_k": 40,
      "ai.ttft_ms": ttft / 1e3,
      "ai.tokens_per_second": Math.round((3 / decoding) * 1e9) / 1e3,
      "gen_ai.operation.name": "text_completion",
      "gen_ai.provider.name": "transformers.js",
      "gen_ai.request.model": "org/fake",
      "gen_ai.response.model": "org/fake",
      "gen_ai.request.max_tokens": 4,
      "gen_ai.request.temperature": 0.5,
      "gen_ai.request.top_k": 40,
      "gen_ai.request.stream": true,
      "gen_ai.usage.input_tokens": 7,
      "gen_ai.usage.output_tokens": 4,
      "gen_ai.response.finish_reasons": ["length"],
      "gen_ai.response.time_to_first_chunk": ttft / 1e6,
      "gen_ai.latency.time_to_first_token": ttft / 1e6,
      "gen_ai.latency.time_in_model_prefill": TOOK.prefill / 1e6,
      "gen_ai.latency.time_in_model_decode": (3 * TOOK.decode) / 1e6,
      "gen_ai.latency.time_in_model_inference": (ttft + decoding) / 1e6,
      "gen_ai.latency.e2e": (ttft + decoding + TOOK.sample) / 1e6,
    });
    assert.deepEqual(
      events.map(({ name, time }) => [name, micros(time) - micros(harness.named("model.generate").startTime)]),
      [["first_token", ttft]],
    );
    assert.deepEqual(harness.named("inference.forward", "decode").attributes, {
      "ai.phase": "decode",
      "ai.steps": 3,
      "ai.tokens": 3,
      "ai.batch.mean_size": 1,
      "ai.step_ms.max": TOOK.decode / 1e3,
    });
  });

  it("counts the rows of a batch", async () => {
    const { harness, library } = instrumented();
    const mask = {
      ...ids(3, 5),
      data: BigInt64Array.from([1n, 1n, 1n, 1n, 1n, 0n, 0n, 1n, 1n, 1n, 1n, 1n, 1n, 1n, 0n]),
    };
    await new library.OverridingModel().generate({ input_ids: ids(3, 5), attention_mask: mask });
    const { attributes } = harness.named("model.generate");
    assert.equal(attributes["ai.prompt.length"], 12);
    assert.equal(attributes["ai.batch.size"], 3);
    assert.equal(attributes["ai.response.length"], 6);
    assert.equal(attributes["gen_ai.response.finish_reasons"], undefined);
    assert.equal(harness.named("inference.forward", "decode").attributes["ai.batch.mean_size"], 3);
  });

  it("makes a span of each step where that is asked for", async () => {
    const { harness, library } = instrumented();
    harness.detail = "step";
    await (await library.AutoModelForCausalLM.from_pretrained("x", {})).generate({
      input_ids: ids(1, 2),
      max_new_tokens: 3,
    });
    assert.deepEqual(harness.tree().slice(1), [
      "model.generate",
      "  inference.forward prefill",
      "    inference.forward prefill",
      "  inference.forward decode",
      "    inference.forward decode",
      "    inference.forward decode",
    ]);
    const steps = harness.spans
      .map(({ attributes }) => attributes["ai.step.number"])
      .filter((step) => step !== undefined);
    assert.deepEqual(steps, [0, 0, 1]);
  });

  it("shows an encoder's pass as a phase of its own", async () => {
    const { harness, library } = instrumented();
    const model = new library.OverridingModel();
    model.config.is_encoder_decoder = true;
    await model.generate({ input_ids: ids(2, 4) });
    assert.deepEqual(harness.tree(), [
      "model.generate",
      "  inference.forward encode",
      "  inference.forward prefill",
      "  inference.forward decode",
    ]);
    const { attributes } = harness.named("model.generate");
    assert.equal(attributes["ai.task.type"], "text2text-generation");
    assert.equal(attributes["ai.ttft_ms"], (TOOK.encode + TOOK.prefill) / 1e3);
    assert.equal(attributes["ai.response.length"], 4);
  });

  it("passes errors on as they are, and records their class alone", async () => {
    const { harness, library } = instrumented();
    const secret = new RangeError("the prompt was: open sesame");
    await assert.rejects(new library.OverridingModel().generate({ input_ids: ids(1, 2), fail: secret }), (thrown) => {
      assert.equal(thrown, secret);
      return true;
    });
    assert.deepEqual(harness.tree(), ["model.generate !RangeError", "  inference.forward prefill !RangeError"]);
    const { status, attributes, events } = harness.named("model.generate");
    assert.deepEqual(status, { code: SpanStatusCode.ERROR, message: "RangeError" });
    assert.equal(attributes["ai.outcome"], "failed");
    assert.deepEqual(events, []);
    assert.doesNotMatch(
      JSON.stringify(harness.spans.map(({ attributes, status }) => ({ attributes, status }))),
      /sesame/,
    );
  });

  it("ends the span of a generation that a streamer abandons", async () => {
    const { harness, library } = instrumented();
    const streamer = {
      put() {
        throw new Error("enough");
      },
    };
    await assert.rejects(new library.OverridingModel().generate({ input_ids: ids(1, 2), streamer }), /enough/);
    assert.deepEqual(harness.tree(), ["model.generate !Error", "  inference.forward prefill"]);
  });

  it("tells a generation that was interrupted", async () => {
    const { harness, library } = instrumented();
    const stopping_criteria = [{ interrupted: false }, { interrupted: true }];
    await new library.OverridingModel().generate({ input_ids: ids(1, 2), stopping_criteria });
    const { attributes } = harness.named("model.generate");
    assert.equal(attributes["ai.outcome"], "cancelled");
    assert.equal(attributes["gen_ai.response.finish_reasons"], undefined);
  });

  it("keeps concurrent generations of one model apart", async () => {
    const { harness, library } = instrumented();
    const model = await library.AutoModelForCausalLM.from_pretrained("x", {});
    const tracer = harness.provider.getTracer("test");
    const ask = async (name: string, max_new_tokens: number) =>
      await tracer.startActiveSpan(name, async (span) => {
        await model.generate({ input_ids: ids(1, max_new_tokens), max_new_tokens });
        span.end();
      });
    await Promise.all([ask("one", 3), ask("two", 5)]);
    for (const [name, steps] of [
      ["one", 2],
      ["two", 4],
    ] as const) {
      const parent = harness.named(name).spanContext().spanId;
      const generate = harness.spans.find((span) => span.parentSpanContext?.spanId === parent);
      assert.equal(generate?.attributes["ai.response.length"], steps + 1);
      const below = harness.spans.filter((span) => span.parentSpanContext?.spanId === generate?.spanContext().spanId);
      assert.deepEqual(below.map(({ attributes }) => attributes["ai.steps"]).sort(), [1, steps].sort());
    }
  });

  it("leaves what a streamer does to the span of the generation", async () => {
    const { harness, library } = instrumented();
    const other = new library.EncoderModel() as unknown as Callable<object>;
    const inside: Promise<object>[] = [];
    const streamer = { put: () => void inside.push(other({ input_ids: ids(1, 3) })) };
    await new library.OverridingModel().generate({ input_ids: ids(1, 2), streamer });
    await Promise.all(inside);
    assert.deepEqual(harness.tree().sort(), [
      "  inference.forward",
      "  inference.forward",
      "  inference.forward decode",
      "  inference.forward prefill",
      "model.generate",
    ]);
  });

  it("calls an unsampled trace's functions and makes no spans", async () => {
    const { harness, library } = instrumented(new RecordingHarness(new AlwaysOffSampler()));
    let active: boolean | undefined;
    const streamer = {
      put() {
        active = trace.getSpan(context.active())?.isRecording();
      },
    };
    const answer = await new library.OverridingModel().generate({ input_ids: ids(1, 2), streamer });
    assert.deepEqual(answer.dims, [1, 4]);
    assert.equal(active, false, "what it does inside belongs to the unsampled trace");
    assert.deepEqual(harness.spans, []);
  });
});

describe("TransformersInstrumentation: everything else", () => {
  useContextManager();

  it("makes one load of a pipeline, its model and its tokenizer", async () => {
    const { harness, library } = instrumented();
    const pipe = await library.pipeline("text-generation", "/home/alice/models/tiny", { dtype: "q8" });
    assert.ok(pipe instanceof library.TextGenerationPipeline);
    assert.deepEqual(harness.tree().sort(), ["  tokenizer.load", "model.load"]);
    const { attributes } = harness.named("model.load");
    assert.equal(attributes["ai.model.name"], "tiny");
    assert.equal(attributes["ai.task.type"], "text-generation");
    assert.equal(attributes["ai.model.dtype"], "q8");
    assert.equal(attributes["ai.model.context_length"], 64);
  });

  it("makes a load of each model that is loaded at the same time, and shows which failed", async () => {
    const { harness, library } = instrumented();
    const fail = new TypeError("no such file: /home/alice");
    const load = library.AutoModelForCausalLM;
    const [one, two] = await Promise.allSettled([
      load.from_pretrained("org/one", {}),
      library.OverridingModel.from_pretrained("org/two", { fail }),
    ]);
    assert.equal(one?.status, "fulfilled");
    assert.equal(two?.status === "rejected" && two.reason, fail);
    const told = harness.spans.map(({ name, attributes }) => [
      name,
      attributes["ai.model.name"],
      attributes["error.type"],
    ]);
    assert.deepEqual(told.sort(), [
      ["model.load", "org/one", undefined],
      ["model.load", "org/two", "TypeError"],
    ]);
  });

  it("puts a pipeline's tokenizing and generating below it", async () => {
    const { harness, library } = instrumented();
    const pipe = await library.pipeline("text-generation", "tiny");
    harness.exporter.reset();
    const answer = await (pipe as unknown as (text: string) => Promise<string[]>)("seven..");
    assert.deepEqual(answer, ["an answer"]);
    assert.deepEqual(harness.tree(), [
      "pipeline",
      "  tokenize",
      "  model.generate",
      "    inference.forward prefill",
      "    inference.forward decode",
      "  detokenize",
    ]);
    assert.equal(harness.named("pipeline").attributes["ai.task.type"], "text-generation");
    assert.deepEqual(harness.named("tokenize").attributes, { "ai.prompt.length": 7, "ai.batch.size": 1 });
  });

  it("times a tokenizer, which is synchronous, and passes on what it throws", () => {
    const { harness, library } = instrumented();
    const tokenizer = new library.ReadingTokenizer() as unknown as (text: string) => { input_ids: { dims: number[] } };
    assert.deepEqual(tokenizer("four").input_ids.dims, [1, 4]);
    assert.throws(() => tokenizer(""), TypeError);
    assert.deepEqual(harness.tree(), ["tokenize", "tokenize !TypeError"]);
    const [span] = harness.spans;
    assert.equal(span && micros(span.endTime) - micros(span.startTime), TOOK.tokenize);
  });

  it("shows a model that does not generate as a pass without a phase", async () => {
    const { harness, library } = instrumented();
    await (new library.EncoderModel() as unknown as Callable<object>)({ input_ids: ids(4, 6) });
    assert.deepEqual(harness.tree(), ["inference.forward"]);
    assert.deepEqual(harness.named("inference.forward").attributes, {
      "ai.model.name": "fake",
      "ai.tokens": 24,
      "ai.batch.size": 4,
    });
  });

  it("counts images, never what is on them", async () => {
    const { harness, library } = instrumented();
    const pixel_values = { type: "float32", dims: [2, 3, 480, 640] };
    await (new library.EncoderModel() as unknown as Callable<object>)({ pixel_values } as unknown as FakeInputs);
    const { attributes } = harness.named("inference.forward");
    assert.equal(attributes["ai.num_images"], 2);
    assert.equal(attributes["ai.image_resolution"], "640x480");
    assert.equal(attributes["ai.batch.size"], 2);
  });

  it("gathers decode steps that a program makes by itself", async () => {
    const { harness, library } = instrumented();
    const model = new library.OverridingModel() as unknown as Callable<object>;
    const step = { input_ids: ids(1, 1), past_key_values: { "0.key": {} } };
    await model({ input_ids: ids(1, 6) });
    for (let i = 0; i < 3; i++) await model(step);
    await model({ input_ids: ids(1, 2) });
    await model(step);
    assert.equal(harness.spans.length, 3, "the last run is still open");
    harness.quiet.elapse();
    assert.deepEqual(harness.tree(), [
      "inference.forward prefill",
      "inference.forward decode",
      "inference.forward prefill",
      "inference.forward decode",
    ]);
    assert.deepEqual(
      harness.spans.map(({ attributes }) => attributes["ai.steps"]),
      [1, 3, 1, 1],
    );
  });

  it("does its work whatever it is given", async () => {
    const { harness, library } = instrumented();
    const hostile = new Proxy(() => {}, {
      get() {
        throw new Error("do not look");
      },
      ownKeys() {
        throw new Error("nor list");
      },
    });
    const model = new library.EncoderModel() as unknown as (input: unknown) => Promise<object>;
    await assert.rejects(model(hostile), /do not look/);
    await assert.rejects(model(undefined), TypeError);
    await assert.rejects((model as unknown as { generate(input: unknown): Promise<object> }).generate(null), TypeError);
    assert.deepEqual(harness.tree(), [
      "inference.forward !Error",
      "inference.forward !TypeError",
      "model.generate !TypeError",
    ]);
  });
});
