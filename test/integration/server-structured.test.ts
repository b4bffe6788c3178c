import assert from "node:assert/strict";
import type OpenAI from "openai";
import type { ToolCallGrammar } from "../../src/protocol.js";
import type { ErrorBody } from "../../src/server/error-response.js";
import { lineTemplate, ServerHarness, sseData } from "../support/server-harness.js";

type Chat = OpenAI.ChatCompletion;
type Chunk = OpenAI.ChatCompletionChunk;

const json = async <T>(response: Promise<Response>): Promise<T> => (await (await response).json()) as T;

const SECRET = "zebra_secret";
const schema = { type: "object", properties: { [SECRET]: { type: "integer" } }, required: [SECRET] };
const FORMAT = { type: "json_schema", json_schema: { name: SECRET, strict: true, schema } };
const TOOLS = ["look", "rest"].map((name) => ({ type: "function", function: { name, parameters: schema } }));
const CALL = '<tool_call>\n{"name": "look", "arguments": {"at": 1}}\n</tool_call>';

describe("server: structured output", () => {
  let harness: ServerHarness;
  beforeEach(async () => {
    harness = await ServerHarness.start();
  });
  afterEach(() => harness.stop());

  const answerWith = (text: string, reason: "stop" | "length" = "stop"): void => {
    harness.engine.play = (fake) => fake.admit().prefill().text(text).finish(reason);
  };
  const grammar = () => harness.engine.requests[0]?.request.grammar;

  it("hands the schema to the engine, and nothing of it to trace and log", async () => {
    answerWith("{}");
    const { choices } = await json<Chat>(harness.chat({ response_format: FORMAT }));
    assert.deepEqual(choices[0]?.message, { role: "assistant", content: "{}", refusal: null });
    assert.deepEqual(grammar(), { kind: "json_schema", schema: JSON.stringify(schema) });
    const [trace] = harness.tracing.traces;
    await trace?.finished;
    assert.equal(trace?.attributes?.responseFormat, "json_schema");
    assert.ok(!JSON.stringify([trace?.calls, harness.log]).includes(SECRET));
  });

  it("keeps text as it is where no format is asked for", async () => {
    answerWith(CALL);
    for (const fields of [{}, { response_format: { type: "text" } }, { tools: TOOLS, tool_choice: "none" }]) {
      const { choices } = await json<Chat>(harness.chat(fields));
      assert.equal(choices[0]?.message.content, CALL);
      assert.equal(choices[0]?.finish_reason, "stop");
    }
    assert.ok(harness.engine.requests.every(({ request }) => request.grammar === undefined));
    assert.equal(harness.tracing.traces[0]?.attributes?.responseFormat, undefined);
  });

  it("answers with calls, and tells the engine which there may be", async () => {
    answerWith(`Let me see.${CALL}`);
    const { choices } = await json<Chat>(harness.chat({ tools: TOOLS }));
    assert.deepEqual(choices[0], {
      index: 0,
      message: {
        role: "assistant",
        content: "Let me see.",
        tool_calls: [{ id: "call_id3", type: "function", function: { name: "look", arguments: '{"at": 1}' } }],
        refusal: null,
      },
      logprobs: null,
      finish_reason: "tool_calls",
    });
    const told = grammar() as ToolCallGrammar;
    assert.equal(told.otherwise, "text");
    assert.equal(told.parallel, true);
    assert.deepEqual(
      told.tools.map(({ name }) => name),
      ["look", "rest"],
    );
    assert.equal(harness.tracing.traces[0]?.attributes?.responseFormat, "tools");
  });

  it("ends a named call as OpenAI does, and one that was cut off by its length", async () => {
    answerWith(CALL);
    const tool_choice = { type: "function", function: { name: "look" } };
    const named = await json<Chat>(harness.chat({ tools: TOOLS, tool_choice }));
    assert.equal(named.choices[0]?.finish_reason, "stop");
    assert.equal(named.choices[0]?.message.content, null);
    const told = grammar() as ToolCallGrammar;
    assert.deepEqual([told.otherwise, told.parallel, told.tools.length], ["nothing", false, 1]);
    answerWith(CALL.slice(0, 50), "length");
    const cut = await json<Chat>(harness.chat({ tools: TOOLS, tool_choice: "required" }));
    assert.equal(cut.choices[0]?.finish_reason, "length");
    assert.equal(cut.choices[0]?.message.tool_calls?.length, 1);
  });

  it("streams calls: the first part has id and name, the others arguments", async () => {
    answerWith(`${CALL}\n${CALL}`);
    const response = await harness.chat({ tools: TOOLS, stream: true });
    const events = sseData(await response.text()).slice(0, -1) as Chunk[];
    const deltas = events.flatMap((event) => event.choices[0]?.delta.tool_calls ?? []);
    for (const index of [0, 1]) {
      const own = deltas.filter((delta) => delta.index === index);
      assert.match(own[0]?.id ?? "", /^call_/);
      assert.equal(own[0]?.function?.name, "look");
      assert.ok(own.slice(1).every((delta) => delta.id === undefined && delta.function?.name === undefined));
      assert.equal(own.map((delta) => delta.function?.arguments).join(""), '{"at": 1}');
    }
    assert.equal(events.at(-1)?.choices[0]?.finish_reason, "tool_calls");
    assert.ok(events.every((event) => !event.choices[0]?.delta.content));
  });

  it("counts tools and calls into the prompt", async () => {
    answerWith("ok");
    await harness.stop();
    const rendered: unknown[] = [];
    const render = (...args: unknown[]): string => {
      rendered.push(args);
      return "prompt";
    };
    harness = await ServerHarness.start({ chatTemplate: { ...lineTemplate, render } });
    answerWith("ok");
    const calls = [{ id: "1", type: "function", function: { name: "look", arguments: "{}" } }];
    const messages = [
      { role: "assistant", content: null, tool_calls: calls },
      { role: "tool", tool_call_id: "1", content: "x" },
    ];
    await harness.chat({ messages, tools: TOOLS });
    assert.deepEqual(rendered, [
      [
        [
          { role: "assistant", content: "", tool_calls: calls },
          { role: "tool", content: "x", tool_call_id: "1" },
        ],
        TOOLS,
      ],
    ]);
  });

  it("refuses a format beside tools where calls are bare JSON", async () => {
    const toolFormat = { ...lineTemplate.toolFormat, marker: "" };
    await harness.stop();
    harness = await ServerHarness.start({ chatTemplate: { ...lineTemplate, toolFormat } });
    const response = await harness.chat({ tools: TOOLS, response_format: FORMAT });
    assert.equal(response.status, 400);
    assert.equal(((await response.json()) as ErrorBody).error.param, "response_format");
  });
});
