import assert from "node:assert/strict";
import { AnswerReader } from "../../../../src/bench/client/answer-reader.js";
import { readErrorCode } from "../../../../src/bench/client/completion-schema.js";

const event = (value: unknown): string => `data: ${typeof value === "string" ? value : JSON.stringify(value)}\n\n`;
const chat = (content: string, finish_reason: string | null = null): string =>
  event({ choices: [{ index: 0, delta: { content }, finish_reason }] });

/** Reads pieces that arrive at 10, 20, 30, … */
function read(pieces: readonly string[], streaming = true) {
  const reader = new AnswerReader(streaming);
  for (const [index, piece] of pieces.entries()) reader.take(piece, (index + 1) * 10);
  return { reader, outcome: reader.outcome((pieces.length + 1) * 10) };
}

describe("answer reader, of a stream", () => {
  it("times the first text, the gaps between chunks with text, and the end", () => {
    const role = event({ choices: [{ index: 0, delta: { role: "assistant", content: "" } }] });
    const usage = event({ choices: [], usage: { prompt_tokens: 7, completion_tokens: 9 } });
    const { reader, outcome } = read([role, chat("a"), chat("b"), chat("c"), chat("", "stop"), usage, event("[DONE]")]);
    assert.deepEqual(outcome, { kind: "ok", finishReason: "stop" });
    assert.equal(reader.firstToken, 20);
    assert.deepEqual(reader.gaps, [10, 10]);
    assert.deepEqual([reader.text, reader.chunks, reader.end], ["abc", 3, 70]);
    assert.deepEqual([reader.promptTokens, reader.outputTokens], [7, 9]);
  });

  it("counts each chunk of several in one read, and one chunk in several reads once, when it is whole", () => {
    const { reader } = read([chat("a") + chat("b"), chat("c").slice(0, 9), chat("c").slice(9), event("[DONE]")]);
    assert.equal(reader.firstToken, 10);
    assert.deepEqual(reader.gaps, [0, 20]);
  });

  it("takes completions, reasoning and tool calls for text", () => {
    for (const choice of [
      { text: "a" },
      { delta: { reasoning_content: "a" } },
      { delta: { tool_calls: [{ index: 0 }] } },
    ]) {
      assert.equal(read([event({ choices: [choice] })]).reader.firstToken, 10, JSON.stringify(choice));
    }
  });

  it("is truncated where neither the last event nor a reason to finish came", () => {
    assert.deepEqual(read([chat("a"), chat("b")]).outcome, { kind: "broken", reason: "truncated" });
    assert.deepEqual(read([]).outcome, { kind: "broken", reason: "truncated" });
    assert.equal(read([chat("a", "length")]).outcome.kind, "ok");
  });

  it("is broken by an error among its events, whatever comes after", () => {
    const failed = event({ error: { message: "the prompt was secret", code: "engine_lost" } });
    const { outcome } = read([chat("a"), failed, event("[DONE]")]);
    assert.deepEqual(outcome, { kind: "broken", reason: "error event: engine_lost" });
  });

  it("is broken by an event that is no chunk", () => {
    for (const data of ["{", "[]", '"text"', '{"choices": 3}']) {
      assert.deepEqual(read([event(data), event("[DONE]")]).outcome, { kind: "broken", reason: "malformed event" });
    }
  });

  it("is whole without any text: the model had nothing to say", () => {
    const { reader, outcome } = read([chat("", "stop"), event("[DONE]")]);
    assert.equal(outcome.kind, "ok");
    assert.equal(reader.firstToken, undefined);
  });
});

describe("answer reader, of one piece", () => {
  const whole = JSON.stringify({
    choices: [{ message: { content: "hello" }, finish_reason: "length" }],
    usage: { prompt_tokens: 3, completion_tokens: 5 },
  });

  it("has text and usage, and no time of a first token", () => {
    const { reader, outcome } = read([whole.slice(0, 20), whole.slice(20)], false);
    assert.deepEqual(outcome, { kind: "ok", finishReason: "length" });
    assert.deepEqual([reader.text, reader.outputTokens, reader.firstToken, reader.end], ["hello", 5, undefined, 30]);
  });

  it("is broken where it is no answer, or an error with status 200", () => {
    assert.deepEqual(read(["<html>"], false).outcome, { kind: "broken", reason: "malformed answer" });
    const error = JSON.stringify({ error: { message: "no", type: "server_error" } });
    assert.deepEqual(read([error], false).outcome, { kind: "broken", reason: "error event: server_error" });
  });
});

describe("error codes", () => {
  it("are kept where they are words, never messages", () => {
    assert.equal(readErrorCode('{"error": {"code": "queue_full", "message": "secret"}}'), "queue_full");
    assert.equal(readErrorCode('{"error": {"code": 400, "message": "secret"}}'), "400");
    assert.equal(readErrorCode('{"error": {"code": "your prompt was secret"}}'), undefined);
    assert.equal(readErrorCode('{"error": "secret"}'), undefined);
    assert.equal(readErrorCode("Bad Gateway"), undefined);
  });
});
