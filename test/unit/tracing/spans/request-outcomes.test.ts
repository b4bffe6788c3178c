import assert from "node:assert/strict";
import type { WireError } from "../../../../src/errors.js";
import type { Outcome, RequestEvent } from "../../../../src/protocol.js";
import { EPOCH, GENERATE, Harness, INCOMING } from "../harness.js";
import {
  ADMITTED,
  begin,
  checkShape,
  complete,
  DECODE,
  ended,
  FINISHED,
  LOST,
  prefilled,
  token,
} from "./request-fixtures.js";

describe("request outcomes", () => {
  it("ends a client's leaving as cancelled, and not as an error", () => {
    const harness = new Harness();
    const trace = begin(harness);
    for (const event of [ADMITTED, prefilled, token(15_000), token(25_000)]) trace.observe(event);
    trace.observe(ended({ kind: "cancelled", cause: "client_gone" }, 26_000, { ...DECODE, end: 25_900 }));
    trace.wrote({ name: "stream", start: 15_050, end: 25_500, chunks: 2 });
    trace.finish({ status: 499, at: 26_100, error: { code: "client_closed", message: "the client left" } });
    assert.ok(harness.tree().every((line) => !line.includes("!")));
    const { tags } = harness.span("model.generate");
    assert.deepEqual([tags?.["ai.outcome"], tags?.["ai.cancel.cause"]], ["cancelled", "client_gone"]);
    assert.equal(tags?.["gen_ai.usage.output_tokens"], "2");
    checkShape(harness.spans());
  });

  it("shows where a client left when it left early", () => {
    const harness = new Harness();
    const trace = begin(harness);
    trace.observe(ADMITTED);
    trace.observe(ended({ kind: "cancelled", cause: "client_gone" }, 9_000));
    trace.finish({ status: 499, at: 9_100, error: { code: "client_closed", message: "the client left" } });
    assert.equal(harness.span("inference.forward", "prefill").timestamp - EPOCH, 5_100);
    assert.equal(harness.span("inference.forward", "prefill").duration, 3_900);
  });

  it("charges a prefill that was torn off with what it took, and marks it where that was a failure", () => {
    for (const [outcome, failed] of [
      [{ kind: "cancelled", cause: "client_gone" }, false],
      [{ kind: "failed", error: LOST }, true],
    ] as const) {
      const harness = new Harness();
      const trace = begin(harness);
      trace.observe(ADMITTED);
      trace.observe(ended(outcome, 9_000, { ...DECODE, phase: "prefill", start: 5_100, end: 8_900 }));
      trace.finish({ status: 499, at: 9_100, error: LOST });
      const { tags, duration } = harness.span("inference.forward", "prefill");
      assert.deepEqual([duration, tags?.["ai.steps"]], [3_800, String(DECODE.steps)]);
      assert.equal(tags?.["ai.cost.device_seconds"], String(DECODE.deviceSeconds));
      assert.equal(tags?.error !== undefined, failed);
      const total = harness.span("model.generate").tags?.["ai.cost.device_seconds"];
      assert.equal(total, String(DECODE.deviceSeconds));
    }
  });

  for (const [cause, code] of [
    ["timeout", "request_timeout"],
    ["drain", "draining"],
  ] as const) {
    it(`ends a ${cause} while waiting as cancelled and as an error`, () => {
      const harness = new Harness();
      const trace = begin(harness);
      trace.observe(ended({ kind: "cancelled", cause }, 8_000));
      trace.finish({ status: 504, at: 8_200, error: { code, message: "told to the client" } });
      const { tags } = harness.span("model.generate");
      assert.deepEqual([tags?.["ai.outcome"], tags?.["ai.cancel.cause"]], ["cancelled", cause]);
      const server = harness.span("post /v1/chat/completions").tags;
      assert.deepEqual([tags?.["error.type"], tags?.error], [code, "told to the client"]);
      assert.deepEqual([server?.["error.type"], server?.error], [code, "told to the client"]);
      assert.equal(harness.span("queue").tags?.["error.type"], code);
      assert.deepEqual([harness.span("queue").timestamp - EPOCH, harness.span("queue").duration], [1_900, 6_100]);
      checkShape(harness.spans());
    });
  }

  it("ends what was open when the engine died, at that moment, and says so", () => {
    const lost = "!engine_lost: the engine process was killed (SIGKILL)";
    const failed: Outcome = { kind: "failed", error: LOST };
    const tree = (events: readonly RequestEvent[]): string[] => {
      const harness = new Harness();
      const trace = begin(harness);
      for (const event of [...events, ended(failed, 28_000)]) trace.observe(event);
      trace.finish({ status: 503, at: 28_500, error: LOST });
      checkShape(harness.spans());
      const errors = harness.spans().filter(({ name }) => name === "inference.forward" || name === "queue");
      assert.equal(Math.max(...errors.map(({ timestamp, duration }) => timestamp + duration)) - EPOCH, 28_000);
      assert.equal(harness.span("model.generate").tags?.["ai.outcome"], "failed");
      return harness.tree();
    };
    const head = [`post /v1/chat/completions ${lost}`, `  model.generate ${lost}`, "    tokenize"];
    assert.deepEqual(tree([]), [...head, `    queue ${lost}`]);
    const admitted = [...head, "    queue", "    kv_cache.allocate"];
    assert.deepEqual(tree([ADMITTED]), [...admitted, `    inference.forward prefill ${lost}`]);
    assert.deepEqual(tree([ADMITTED, prefilled, token(15_000)]), [
      ...admitted,
      "    inference.forward prefill",
      `    inference.forward decode ${lost}`,
    ]);
  });

  it("marks a stream that broke after its 200", () => {
    const harness = new Harness();
    const trace = begin(harness);
    for (const event of [ADMITTED, prefilled, token(15_000)]) trace.observe(event);
    trace.observe(ended({ kind: "failed", error: LOST }, 20_000));
    trace.finish({ status: 200, at: 20_100, error: LOST });
    const { tags } = harness.span("post /v1/chat/completions");
    assert.deepEqual([tags?.["http.status_code"], tags?.["error.type"]], ["200", "engine_lost"]);
  });

  it("traces a refusal without pretending it waited", () => {
    const harness = new Harness();
    const trace = begin(harness);
    trace.finish({ status: 429, at: 2_000, error: { code: "queue_full", message: "64 requests are waiting" } });
    const error = "!queue_full: 64 requests are waiting";
    assert.deepEqual(harness.tree(), [
      `post /v1/chat/completions ${error}`,
      `  model.generate ${error}`,
      "    tokenize",
    ]);
    assert.equal(harness.span("model.generate").tags?.["ai.outcome"], "refused");
  });

  it("traces bad requests by code alone: their messages quote the caller", () => {
    const harness = new Harness();
    const trace = harness.requests.start(INCOMING);
    const error: WireError = {
      code: "model_not_found",
      message: "The model `my secret` does not exist",
      param: "model",
    };
    trace.finish({ status: 404, at: 300, error });
    assert.deepEqual(harness.tree(), ["post /v1/chat/completions !model_not_found"]);
    assert.equal(harness.span("post /v1/chat/completions").tags?.["http.status_code"], "404");
  });

  it("ends tokenizing that was given up, and waits for nothing after it", () => {
    for (const [error, tree] of [
      [
        { code: "request_timeout", message: "it took too long" },
        [
          "post /v1/chat/completions !request_timeout: it took too long",
          "  model.generate !request_timeout: it took too long",
          "    tokenize !request_timeout: it took too long",
        ],
      ],
      [
        { code: "context_length_exceeded", message: "too long" },
        [
          "post /v1/chat/completions !context_length_exceeded",
          "  model.generate !context_length_exceeded",
          "    tokenize !context_length_exceeded",
        ],
      ],
      [{ code: "client_closed", message: "gone" }, ["post /v1/chat/completions", "  model.generate", "    tokenize"]],
    ] as const) {
      const harness = new Harness();
      const trace = harness.requests.start(INCOMING);
      trace.generating(600, { ...GENERATE, maxTokens: undefined });
      trace.tokenized(600, 9_000, undefined, error);
      trace.finish({ status: 504, at: 9_100, error });
      assert.deepEqual(harness.tree(), tree);
      const { tags, duration } = harness.span("tokenize");
      assert.deepEqual([duration, tags?.["ai.prompt.length"]], [8_400, undefined]);
      assert.equal(harness.span("model.generate").tags?.["ai.max_tokens"], undefined);
    }
  });

  it("marks an error status that came without an error", () => {
    const harness = new Harness();
    harness.requests.start(INCOMING).finish({ status: 500, at: 300 });
    assert.deepEqual(harness.tree(), ["post /v1/chat/completions !500: HTTP status 500"]);
  });

  it("marks a failure that came after the engine was done", () => {
    const harness = new Harness();
    const trace = begin(harness);
    for (const event of [ADMITTED, prefilled, token(15_000), ended(FINISHED, 15_010)]) trace.observe(event);
    trace.finish({ status: 500, at: 16_000, error: { code: "internal", message: "the detokenizer broke" } });
    assert.equal(harness.span("model.generate").tags?.["ai.outcome"], "failed");
    assert.match(harness.span("post /v1/chat/completions").tags?.error ?? "", /detokenizer/);
  });

  it("covers late writing: no parent ends before its child", () => {
    const harness = new Harness();
    const trace = begin(harness);
    trace.wrote({ name: "stream", start: 3_000, end: 9_000, chunks: 1 });
    trace.finish({ status: 200, at: 8_000 });
    checkShape(harness.spans());
    assert.equal(harness.span("post /v1/chat/completions").duration, 9_000);
  });

  it("closes every span once, whatever comes afterwards", () => {
    const harness = new Harness();
    const trace = complete(harness);
    const before = harness.spans().length;
    trace.observe(ADMITTED);
    trace.generating(1, GENERATE);
    trace.tokenized(1, 2, 3);
    trace.wrote({ name: "stream", start: 1, end: 2, chunks: 1 });
    trace.finish({ status: 500, at: 99_000 });
    assert.equal(harness.spans().length, before);
    assert.equal(harness.processor.counts.ended, before);
  });
});
