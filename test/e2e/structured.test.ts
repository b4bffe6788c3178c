/** Structured output of the real service, process and model, as the official OpenAI client sees it. */
import assert from "node:assert/strict";
import OpenAI from "openai";
import { zodFunction, zodResponseFormat } from "openai/helpers/zod";
import { z } from "zod";
import { openaiClient } from "../support/openai-client.js";
import { VitrineProcess } from "../support/vitrine-process.js";

const CHAT = {
  model: "tiny",
  messages: [{ role: "user", content: "Tell me a story." }],
  seed: 7,
  max_completion_tokens: 600,
} satisfies OpenAI.ChatCompletionCreateParamsNonStreaming;

const Person = z.object({
  name: z.string().max(12),
  age: z.int().min(1).max(120),
  mood: z.enum(["glad", "sad"]),
  pets: z.array(z.object({ kind: z.string().max(8), legs: z.int().min(0).max(8) })).max(2),
  note: z.string().max(20).nullable(),
});

const TOOLS = [
  zodFunction({
    name: "find_stone",
    parameters: z.object({ colour: z.enum(["red", "blue"]), weight: z.number().min(0).max(9) }),
  }),
  zodFunction({ name: "rest", parameters: z.object({}) }),
];

describe("structured output", function () {
  this.timeout(60_000);
  let vitrine: VitrineProcess;
  let openai: OpenAI;

  before(async () => {
    vitrine = await VitrineProcess.start();
    openai = openaiClient(vitrine.url);
  });

  after(async () => {
    await vitrine?.stop();
  });

  it("answers with what a Zod schema parses, whatever the temperature", async () => {
    for (const temperature of [0, 1, 2]) {
      const response_format = zodResponseFormat(Person, "person");
      const { choices } = await openai.chat.completions.parse({ ...CHAT, temperature, response_format });
      assert.equal(choices[0]?.finish_reason, "stop");
      Person.parse(choices[0]?.message.parsed);
    }
  });

  it("streams the same", async () => {
    const response_format = zodResponseFormat(Person, "person");
    const whole = await openai.chat.completions.create({ ...CHAT, response_format });
    const stream = openai.chat.completions.stream({ ...CHAT, response_format });
    const final = await stream.finalChatCompletion();
    assert.deepEqual(
      final.choices[0]?.message.parsed,
      Person.parse(JSON.parse(whole.choices[0]?.message.content ?? "")),
    );
  });

  it("answers with any JSON object, and gives every choice its own", async () => {
    const response_format = { type: "json_object" } as const;
    const { choices } = await openai.chat.completions.create({ ...CHAT, temperature: 0.5, n: 3, response_format });
    assert.equal(choices.length, 3);
    for (const { message, finish_reason } of choices) {
      if (finish_reason === "stop") assert.equal(typeof JSON.parse(message.content ?? ""), "object");
      assert.match(message.content ?? "", /^\{/);
    }
  });

  it("calls a tool where it must, with arguments that fit", async () => {
    const tool_choice = "required";
    const { choices } = await openai.chat.completions.parse({
      ...CHAT,
      tools: TOOLS,
      tool_choice,
      parallel_tool_calls: false,
    });
    const [choice] = choices;
    assert.equal(choice?.finish_reason, "tool_calls");
    assert.equal(choice.message.content, null);
    const calls = choice.message.tool_calls ?? [];
    assert.equal(calls.length, 1);
    assert.match(calls[0]?.id ?? "", /^call_\w+$/);
    assert.ok(calls[0]?.type === "function" && ["find_stone", "rest"].includes(calls[0].function.name));
    assert.ok(calls[0].function.parsed_arguments);
  });

  it("calls the tool that is named, streamed or not", async () => {
    const tool_choice = { type: "function", function: { name: "find_stone" } } as const;
    const request = { ...CHAT, tools: TOOLS, tool_choice };
    const whole = await openai.chat.completions.create(request);
    assert.equal(whole.choices[0]?.finish_reason, "stop");
    const [call] = whole.choices[0]?.message.tool_calls ?? [];
    assert.ok(call?.type === "function" && call.function.name === "find_stone");
    assert.match(JSON.parse(call.function.arguments).colour, /^(red|blue)$/);
    const stream = await openai.chat.completions.create({ ...request, stream: true });
    let streamed = "";
    let names = 0;
    for await (const chunk of stream) {
      for (const part of chunk.choices[0]?.delta.tool_calls ?? []) {
        assert.equal(part.index, 0);
        if (part.function?.name !== undefined) names++;
        streamed += part.function?.arguments ?? "";
      }
    }
    assert.equal(names, 1);
    assert.equal(streamed, call.function.arguments);
  });

  it("answers in text where it may, and goes on after a tool has answered", async () => {
    const { choices } = await openai.chat.completions.create({
      ...CHAT,
      max_completion_tokens: 20,
      tools: TOOLS,
      messages: [
        ...CHAT.messages,
        {
          role: "assistant",
          tool_calls: [{ id: "call_1", type: "function", function: { name: "rest", arguments: "{}" } }],
        },
        { role: "tool", tool_call_id: "call_1", content: "rested" },
      ],
    });
    assert.match(choices[0]?.message.content ?? "", /\w/);
    assert.equal(choices[0]?.message.tool_calls, undefined);
  });

  it("refuses a schema that it cannot hold to, and says which part", async () => {
    const schema = { type: "object", properties: { a: { type: "array", uniqueItems: true } } };
    const response_format = { type: "json_schema", json_schema: { name: "x", schema } } as const;
    const error = await openai.chat.completions.create({ ...CHAT, response_format }).catch((thrown: unknown) => thrown);
    assert.ok(error instanceof OpenAI.BadRequestError);
    assert.equal(error.param, "response_format.json_schema.schema.properties.a");
    assert.match(error.message, /uniqueItems/);
  });
});
