import assert from "node:assert/strict";
import { chatFormat, completionFormat, usageOf } from "../../../src/server/answer-format.js";

const HEAD = { id: "x-1", created: 5, model: "tiny" };
const TOKENS = { prompt: 3, completion: 4 };
const USAGE = {
  prompt_tokens: 3,
  completion_tokens: 4,
  total_tokens: 7,
  prompt_tokens_details: { cached_tokens: 0 },
};

describe("answer formats", () => {
  it("count tokens", () => assert.deepEqual(usageOf(TOKENS), USAGE));

  it("chat, whole", () => {
    assert.deepEqual(chatFormat(HEAD, false).whole("Hello", "length", TOKENS), {
      ...HEAD,
      object: "chat.completion",
      choices: [
        {
          index: 0,
          message: { role: "assistant", content: "Hello", refusal: null },
          logprobs: null,
          finish_reason: "length",
        },
      ],
      usage: USAGE,
    });
  });

  it("chat, streamed", () => {
    const format = chatFormat(HEAD, false);
    const event = (delta: object, finish_reason: string | null) => ({
      ...HEAD,
      object: "chat.completion.chunk",
      choices: [{ index: 0, delta, logprobs: null, finish_reason }],
    });
    assert.deepEqual(format.opening(), event({ role: "assistant", content: "" }, null));
    assert.deepEqual(format.chunk("He"), event({ content: "He" }, null));
    assert.deepEqual(format.last("stop"), event({}, "stop"));
  });

  it("completion, whole", () => {
    assert.deepEqual(completionFormat(HEAD, false).whole("Hello", "stop", TOKENS), {
      ...HEAD,
      object: "text_completion",
      choices: [{ text: "Hello", index: 0, logprobs: null, finish_reason: "stop" }],
      usage: USAGE,
    });
  });

  it("completion, streamed", () => {
    const format = completionFormat(HEAD, false);
    const event = (text: string, finish_reason: string | null) => ({
      ...HEAD,
      object: "text_completion",
      choices: [{ text, index: 0, logprobs: null, finish_reason }],
    });
    assert.equal(format.opening(), undefined);
    assert.deepEqual(format.chunk("He"), event("He", null));
    assert.deepEqual(format.last("length"), event("", "length"));
  });

  it("with include_usage, every chunk has usage: null and the last one has no choices", () => {
    for (const format of [chatFormat(HEAD, true), completionFormat(HEAD, true)]) {
      for (const chunk of [format.chunk("a"), format.last("stop"), format.opening()]) {
        if (chunk) assert.equal((chunk as { usage?: unknown }).usage, null);
      }
      const { choices, usage } = format.usage(TOKENS) as { choices: unknown; usage: unknown };
      assert.deepEqual(choices, []);
      assert.deepEqual(usage, USAGE);
    }
  });
});
