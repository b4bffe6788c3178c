import assert from "node:assert/strict";
import type { Outcome, RequestEvent } from "../../../../src/protocol.js";
import type { RequestTrace } from "../../../../src/tracing/contract.js";
import { EPOCH, GENERATE, Harness, INCOMING } from "../harness.js";
import { ADMITTED, checkShape, DECODE, ended, FINISHED, LOST, prefilled, token } from "./request-fixtures.js";

const CHOICES = [
  { id: "r-0", seed: 42 },
  { id: "r-1", seed: 43 },
];

const of = (choice: number, event: RequestEvent): RequestEvent => ({ ...event, id: `r-${choice}` });

function begin(harness: Harness): RequestTrace {
  const trace = harness.requests.start(INCOMING);
  trace.generating(500, { ...GENERATE, n: 2, choices: CHOICES });
  trace.tokenized(600, 1_900, 12);
  return trace;
}

/** Both choices run to an end of their own. */
function complete(harness: Harness, second: Outcome): void {
  const trace = begin(harness);
  for (const choice of [0, 1]) for (const event of [ADMITTED, prefilled]) trace.observe(of(choice, event));
  trace.observe(of(1, token(15_000)));
  trace.observe(of(0, token(16_000)));
  trace.observe(of(0, token(26_000)));
  trace.observe(of(1, ended(second, 35_010, DECODE)));
  trace.observe(of(0, ended(FINISHED, 36_010, { ...DECODE, end: 36_000 })));
  trace.wrote({ name: "stream", start: 15_050, end: 36_500, chunks: 4 });
  trace.finish({ status: 200, at: 37_000, ...(second.kind === "failed" ? { error: second.error } : {}) });
}

describe("trace of a request of several choices", () => {
  it("has a span for each choice, with its phases below", () => {
    const harness = new Harness();
    complete(harness, { kind: "finished", reason: "length" });
    const phases = [
      "      queue",
      "      kv_cache.allocate",
      "      inference.forward prefill",
      "      inference.forward decode",
    ];
    assert.deepEqual(harness.tree(), [
      "post /v1/chat/completions",
      "  model.generate",
      "    tokenize",
      "    choice",
      ...phases,
      "    choice",
      ...phases,
      "    stream",
    ]);
    checkShape(harness.spans());
  });

  it("tells each choice's own end and cost, and on model.generate what adds up", () => {
    const harness = new Harness();
    complete(harness, { kind: "finished", reason: "length" });
    const choices = harness.spans().filter(({ name }) => name === "choice");
    const tags = (name: string) =>
      [...choices]
        .sort((a, b) => Number(a.tags?.["ai.choice.index"]) - Number(b.tags?.["ai.choice.index"]))
        .map((span) => span.tags?.[name]);
    assert.deepEqual(tags("ai.choice.index"), ["0", "1"]);
    assert.deepEqual(tags("ai.seed"), ["42", "43"]);
    assert.deepEqual(tags("ai.outcome"), ["finished", "finished"]);
    assert.deepEqual(tags("ai.response.length"), ["2", "1"]);
    assert.deepEqual(tags("gen_ai.response.finish_reasons"), ['["stop"]', '["length"]']);
    assert.deepEqual(tags("gen_ai.latency.time_in_queue"), ["0.003", "0.003"]);
    const generate = harness.span("model.generate");
    assert.equal(generate.tags?.["ai.n"], "2");
    assert.equal(generate.tags?.["gen_ai.request.choice.count"], "2");
    assert.equal(generate.tags?.["ai.response.length"], "3");
    assert.equal(generate.tags?.["ai.cost.device_seconds"], "0.0298");
    assert.equal(generate.tags?.["gen_ai.response.finish_reasons"], '["stop","length"]');
    assert.equal(generate.tags?.["ai.ttft_ms"], "15");
    assert.equal(generate.tags?.["ai.outcome"], "finished");
    assert.deepEqual(generate.annotations, [{ timestamp: EPOCH + 15_000, value: "first_token" }]);
  });

  it("says where each choice ran, and on model.generate where all did", () => {
    for (const other of [1, 2]) {
      const harness = new Harness();
      const trace = begin(harness);
      const { run } = ADMITTED;
      assert.ok(run !== undefined);
      const device = { ...run.device, deviceId: other };
      trace.observe(of(0, ADMITTED));
      trace.observe(of(1, { ...ADMITTED, run: { ...run, device } }));
      for (const choice of [0, 1]) trace.observe(of(choice, prefilled));
      for (const choice of [0, 1]) trace.observe(of(choice, ended(FINISHED)));
      trace.finish({ status: 200, at: 37_000 });
      const devices = (name: string) =>
        harness
          .spans()
          .flatMap((span) => (span.name === name ? [span.tags?.["ai.device"]] : []))
          .sort();
      assert.deepEqual(devices("choice"), ["cuda:1", `cuda:${other}`]);
      assert.deepEqual(devices("inference.forward"), ["cuda:1", `cuda:${other}`]);
      assert.deepEqual(devices("model.generate"), [other === 1 ? "cuda:1" : undefined]);
    }
  });

  it("fails as a whole with a choice that fails, and names which", () => {
    const harness = new Harness();
    complete(harness, { kind: "failed", error: LOST });
    const errors = harness
      .spans()
      .filter(({ tags }) => tags?.error !== undefined)
      .map(({ name, tags }) => [name, tags?.["ai.choice.index"]]);
    assert.ok(errors.some(([name, index]) => name === "choice" && index === "1"));
    assert.ok(!errors.some(([name, index]) => name === "choice" && index === "0"));
    assert.equal(harness.span("model.generate").tags?.["ai.outcome"], "failed");
  });

  it("ends choices that nothing more was heard of", () => {
    const harness = new Harness();
    const trace = begin(harness);
    trace.observe(of(0, ADMITTED));
    trace.finish({ status: 504, at: 20_000, error: { code: "request_timeout", message: "m" } });
    const choices = harness.spans().filter(({ name }) => name === "choice");
    assert.equal(choices.length, 2);
    for (const { timestamp, duration } of choices) assert.equal(timestamp + duration, EPOCH + 20_000);
    assert.equal(harness.tree().filter((line) => line.trim().startsWith("queue")).length, 2);
    checkShape(harness.spans());
  });
});

describe("trace of seldom used parameters", () => {
  it("has them where they were asked for", () => {
    const harness = new Harness();
    const trace = harness.requests.start(INCOMING);
    const sampling = { ...GENERATE.sampling, typicalP: 0.5, minTokens: 3 };
    trace.generating(500, { ...GENERATE, sampling, logprobs: 0, priority: -2, responseFormat: "json_schema" });
    trace.finish({ status: 200, at: 1_000 });
    const { tags } = harness.span("model.generate");
    assert.deepEqual(
      ["ai.typical_p", "ai.min_tokens", "ai.logprobs", "ai.priority", "ai.n"].map((name) => tags?.[name]),
      ["0.5", "3", "0", "-2", undefined],
    );
    assert.deepEqual([tags?.["ai.response_format"], tags?.["gen_ai.output.type"]], ["json_schema", "json"]);
  });
});
