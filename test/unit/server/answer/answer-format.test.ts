import assert from "node:assert/strict";
import type { FinishReason } from "../../../../src/protocol.js";
import {
  chatFormat,
  completionFormat,
  type FinishedChoice,
  type Piece,
  usageOf,
} from "../../../../src/server/answer/answer-format.js";
import type { TokenEntry } from "../../../../src/server/answer/logprob-format.js";

const HEAD = { id: "x-1", created: 5, model: "tiny" };
const TOKENS = { prompt: 3, cached: 2, completion: 4 };
const USAGE = {
  prompt_tokens: 3,
  completion_tokens: 4,
  total_tokens: 7,
  prompt_tokens_details: { cached_tokens: 2 },
};

const piece = (text: string): Piece => ({ text, tokens: undefined });
const finished = (text: string, reason: FinishReason): FinishedChoice => ({ ...piece(text), reason });

const bytes = (text: string): Uint8Array => Buffer.from(text);
/** A token of two bytes of an emoji after an ordinary one, the first of them without a past. */
const ENTRIES: readonly TokenEntry[] = [
  { bytes: bytes("Hi"), logprob: undefined, top: [], offset: 0 },
  {
    bytes: bytes("🦓").subarray(0, 2),
    logprob: -0.5,
    top: [
      { bytes: bytes(" a"), logprob: -0.25 },
      { bytes: bytes("b"), logprob: Number.NEGATIVE_INFINITY },
    ],
    offset: 2,
  },
];

describe("answer formats", () => {
  it("count tokens", () => assert.deepEqual(usageOf(TOKENS), USAGE));

  it("chat, whole", () => {
    assert.deepEqual(chatFormat(HEAD, false).whole([finished("Hello", "length")], TOKENS), {
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
    assert.deepEqual(format.opening(0), event({ role: "assistant", content: "" }, null));
    assert.deepEqual(format.chunk(0, piece("He")), event({ content: "He" }, null));
    assert.deepEqual(format.last(0, "stop"), event({}, "stop"));
  });

  it("completion, whole", () => {
    assert.deepEqual(completionFormat(HEAD, false).whole([finished("Hello", "stop")], TOKENS), {
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
    assert.equal(format.opening(0), undefined);
    assert.deepEqual(format.chunk(0, piece("He")), event("He", null));
    assert.deepEqual(format.last(0, "length"), event("", "length"));
  });

  it("chat, log probabilities", () => {
    const [choice] = (
      chatFormat(HEAD, false).whole([{ text: "Hi", tokens: ENTRIES, reason: "stop" }], TOKENS) as {
        choices: { logprobs: object }[];
      }
    ).choices;
    assert.deepEqual(choice?.logprobs, {
      content: [
        { token: "Hi", logprob: null, bytes: [72, 105], top_logprobs: [] },
        {
          token: "\\xf0\\x9f",
          logprob: -0.5,
          bytes: [0xf0, 0x9f],
          top_logprobs: [
            { token: " a", logprob: -0.25, bytes: [32, 97] },
            { token: "b", logprob: -9999, bytes: [98] },
          ],
        },
      ],
      refusal: null,
    });
  });

  it("completion, log probabilities, in a stream as well", () => {
    const logprobs = {
      tokens: ["Hi", "bytes:\\xf0\\x9f"],
      token_logprobs: [null, -0.5],
      top_logprobs: [null, { " a": -0.25, b: -9999, "bytes:\\xf0\\x9f": -0.5 }],
      text_offset: [0, 2],
    };
    const format = completionFormat(HEAD, false);
    const choice = { text: "Hi", tokens: ENTRIES };
    const logprobsOf = (answer: object) => (answer as { choices: { logprobs: object }[] }).choices[0]?.logprobs;
    assert.deepEqual(logprobsOf(format.whole([{ ...choice, reason: "stop" }], TOKENS)), logprobs);
    assert.deepEqual(logprobsOf(format.chunk(0, choice)), logprobs);
  });

  it("completion, alternatives that read alike: the likeliest counts", () => {
    const alike = {
      bytes: bytes("__proto__"),
      logprob: -3,
      top: [{ bytes: bytes("__proto__"), logprob: -1 }],
      offset: 0,
    };
    const format = completionFormat(HEAD, false);
    const chunk = format.chunk(0, { text: "__proto__", tokens: [alike] });
    assert.ok(JSON.stringify(chunk).includes('"token_logprobs":[-3],"top_logprobs":[{"__proto__":-1}]'));
  });

  it("tell choices apart by their index", () => {
    const index = (answer: object | undefined) => (answer as { choices: { index: number }[] }).choices[0]?.index;
    for (const format of [chatFormat(HEAD, false), completionFormat(HEAD, false)]) {
      assert.deepEqual([index(format.chunk(3, piece("a"))), index(format.last(4, "stop"))], [3, 4]);
      const two = format.whole([finished("a", "stop"), finished("b", "length")], TOKENS) as { choices: object[] };
      assert.deepEqual(
        two.choices.map((choice) => [
          (choice as { index: number }).index,
          (choice as { finish_reason: string }).finish_reason,
        ]),
        [
          [0, "stop"],
          [1, "length"],
        ],
      );
    }
    assert.equal(index(chatFormat(HEAD, false).opening(5)), 5);
  });

  it("with include_usage, every chunk has usage: null and the last one has no choices", () => {
    for (const format of [chatFormat(HEAD, true), completionFormat(HEAD, true)]) {
      for (const chunk of [format.chunk(0, piece("a")), format.last(0, "stop"), format.opening(0)]) {
        if (chunk) assert.equal((chunk as { usage?: unknown }).usage, null);
      }
      const { choices, usage } = format.usage(TOKENS) as { choices: unknown; usage: unknown };
      assert.deepEqual(choices, []);
      assert.deepEqual(usage, USAGE);
    }
  });
});
