import assert from "node:assert/strict";
import { VitrineError } from "../../../../src/errors.js";
import { type Operation, parseRequest } from "../../../../src/server/request/schema.js";

const SECRET = "zebra-secret";

const completion = (fields: object = {}): string => JSON.stringify({ model: "tiny", prompt: "Hi", ...fields });
const chat = (fields: object = {}): string =>
  JSON.stringify({ model: "tiny", messages: [{ role: "user", content: "Hi" }], ...fields });
const message = (fields: object): string => chat({ messages: [{ role: "user", content: "Hi", ...fields }] });

const tool = (name: string, parameters: object = { type: "object" }): object => ({
  type: "function",
  function: { name, parameters },
});
const jsonSchema = (schema: object): object => ({ type: "json_schema", json_schema: { name: "x", schema } });

function refusal(operation: Operation, body: string): VitrineError {
  try {
    parseRequest(operation, body);
  } catch (error) {
    assert.ok(error instanceof VitrineError, String(error));
    return error;
  }
  throw new assert.AssertionError({ message: `accepted ${body}` });
}

/** Body, and the field its 400 names. */
const BAD_COMPLETIONS: readonly (readonly [string, string])[] = [
  [JSON.stringify({ prompt: "Hi" }), "model"],
  [completion({ model: 3 }), "model"],
  [JSON.stringify({ model: "tiny" }), "prompt"],
  [completion({ prompt: null }), "prompt"],
  [completion({ prompt: 7 }), "prompt"],
  [completion({ prompt: {} }), "prompt"],
  [completion({ prompt: [] }), "prompt"],
  [completion({ prompt: [[]] }), "prompt"],
  [completion({ prompt: [SECRET, []] }), "prompt"],
  [completion({ prompt: [[1], [2.5]] }), "prompt"],
  [completion({ prompt: [[1], 2] }), "prompt"],
  [completion({ prompt: Array(129).fill("Hi") }), "prompt"],
  [completion({ prompt: [1, -2] }), "prompt"],
  [completion({ prompt: [1, 2.5] }), "prompt"],
  [completion({ prompt: [1, SECRET] }), "prompt"],
  [completion({ max_tokens: 0 }), "max_tokens"],
  [completion({ max_tokens: 1.5 }), "max_tokens"],
  [completion({ max_tokens: SECRET }), "max_tokens"],
  [completion({ temperature: -0.1 }), "temperature"],
  [completion({ temperature: 2.1 }), "temperature"],
  [completion({ temperature: SECRET }), "temperature"],
  ['{"model": "tiny", "prompt": "Hi", "temperature": 1e999}', "temperature"],
  [completion({ top_p: 1.1 }), "top_p"],
  [completion({ top_k: -2 }), "top_k"],
  [completion({ top_k: 1.5 }), "top_k"],
  [completion({ min_p: 2 }), "min_p"],
  [completion({ seed: 0.5 }), "seed"],
  [completion({ seed: 2 ** 60 }), "seed"],
  [completion({ stop: "" }), "stop"],
  [completion({ stop: [SECRET, ""] }), "stop"],
  [completion({ stop: ["a", "b", "c", "d", "e"] }), "stop"],
  [completion({ stop: { text: SECRET } }), "stop"],
  [completion({ frequency_penalty: 3 }), "frequency_penalty"],
  [completion({ presence_penalty: -3 }), "presence_penalty"],
  [completion({ repetition_penalty: 0 }), "repetition_penalty"],
  [completion({ stream: SECRET }), "stream"],
  [completion({ stream: true, stream_options: SECRET }), "stream_options"],
  [completion({ stream: true, stream_options: { include_usage: 1 } }), "stream_options.include_usage"],
  [completion({ stream_options: { include_usage: true } }), "stream_options"],
  [completion({ user: 5 }), "user"],
  [completion({ n: 0 }), "n"],
  [completion({ n: 129 }), "n"],
  [completion({ n: 43, prompt: ["a", "b", "c"] }), "n"],
  [completion({ best_of: 3 }), "best_of"],
  [completion({ n: 2, best_of: 1 }), "best_of"],
  [completion({ echo: 1 }), "echo"],
  [completion({ suffix: SECRET }), "suffix"],
  [completion({ response_format: { type: "json_object" } }), "response_format"],
  [completion({ tools: [{}] }), "tools"],
  [completion({ tool_choice: "required" }), "tool_choice"],
  [completion({ logprobs: -1 }), "logprobs"],
  [completion({ logprobs: 21 }), "logprobs"],
  [completion({ logprobs: true }), "logprobs"],
  [completion({ typical_p: 1.1 }), "typical_p"],
  [completion({ min_tokens: -1 }), "min_tokens"],
  [completion({ ignore_eos: 1 }), "ignore_eos"],
  [completion({ stop_token_ids: 5 }), "stop_token_ids"],
  [completion({ stop_token_ids: [1, -5] }), "stop_token_ids[1]"],
  [completion({ include_stop_str_in_output: SECRET }), "include_stop_str_in_output"],
  [completion({ priority: 11 }), "priority"],
  [completion({ priority: 0.5 }), "priority"],
  [completion({ cache_salt: "" }), "cache_salt"],
  [completion({ cache_salt: 5 }), "cache_salt"],
  [completion({ logit_bias: [[5, 1]] }), "logit_bias"],
  [completion({ logit_bias: { 5: 101 } }), "logit_bias"],
  [completion({ logit_bias: { 5: "1" } }), "logit_bias"],
  [completion({ logit_bias: { "05": 1 } }), "logit_bias"],
  [completion({ logit_bias: { [SECRET]: 1 } }), "logit_bias"],
];

const BAD_CHATS: readonly (readonly [string, string])[] = [
  [JSON.stringify({ model: "tiny" }), "messages"],
  [chat({ messages: SECRET }), "messages"],
  [chat({ messages: [] }), "messages"],
  [chat({ messages: [SECRET] }), "messages[0]"],
  [message({ role: SECRET }), "messages[0].role"],
  [chat({ messages: [{ role: "user", content: "Hi" }, { content: "Hi" }] }), "messages[1].role"],
  [chat({ messages: [{ role: "user" }] }), "messages[0].content"],
  [message({ content: null }), "messages[0].content"],
  [message({ content: 5 }), "messages[0].content"],
  [message({ content: [] }), "messages[0].content"],
  [message({ content: [SECRET] }), "messages[0].content[0]"],
  [message({ content: [{ type: "text" }] }), "messages[0].content[0].text"],
  [message({ content: [{ text: SECRET }] }), "messages[0].content[0].type"],
  [
    message({
      content: [
        { type: "text", text: "Hi" },
        { type: "image_url", image_url: { url: SECRET } },
      ],
    }),
    "messages[0].content[1].type",
  ],
  [message({ role: "assistant", content: null, tool_calls: [{ id: SECRET }] }), "messages[0].tool_calls[0].function"],
  [message({ role: "assistant", content: null }), "messages[0].content"],
  [message({ role: "tool", content: "x", tool_call_id: 5 }), "messages[0].tool_call_id"],
  [chat({ max_completion_tokens: 0 }), "max_completion_tokens"],
  [chat({ max_tokens: 0 }), "max_tokens"],
  [chat({ n: 200 }), "n"],
  [chat({ logprobs: 5 }), "logprobs"],
  [chat({ top_logprobs: 5 }), "top_logprobs"],
  [chat({ logprobs: true, top_logprobs: 21 }), "top_logprobs"],
  [chat({ tools: [{ type: "function" }] }), "tools[0].function"],
  [chat({ tools: [{ type: "web_search" }] }), "tools[0].type"],
  [chat({ tools: [tool("a b")] }), "tools[0].function.name"],
  [chat({ tools: [tool("a"), tool("a")] }), "tools[1].function.name"],
  [chat({ tools: [tool("a", { type: "object", not: {} })] }), "tools[0].function.parameters"],
  [
    chat({ tools: [tool("a", { properties: { b: { type: SECRET } } })] }),
    "tools[0].function.parameters.properties.b.type",
  ],
  [chat({ tools: [tool("a")], tool_choice: "maybe" }), "tool_choice"],
  [
    chat({ tools: [tool("a")], tool_choice: { type: "function", function: { name: SECRET } } }),
    "tool_choice.function.name",
  ],
  [chat({ parallel_tool_calls: 1 }), "parallel_tool_calls"],
  [chat({ tool_choice: "required" }), "tool_choice"],
  [chat({ functions: [{}] }), "functions"],
  [chat({ function_call: "a" }), "function_call"],
  [chat({ response_format: { type: "xml" } }), "response_format.type"],
  [chat({ response_format: { type: "json_schema" } }), "response_format.json_schema"],
  [chat({ response_format: jsonSchema({ items: { uniqueItems: true } }) }), "response_format.json_schema.schema.items"],
  [chat({ response_format: jsonSchema({ pattern: `(${SECRET}` }) }), "response_format.json_schema.schema.pattern"],
  [chat({ modalities: ["text", "audio"] }), "modalities"],
  [chat({ audio: { voice: SECRET } }), "audio"],
  [chat({ prediction: { content: SECRET } }), "prediction"],
];

describe("request schema", () => {
  for (const [operation, table] of [
    ["text_completion", BAD_COMPLETIONS],
    ["chat", BAD_CHATS],
  ] as const) {
    for (const [body, param] of table) {
      it(`${operation}: names ${param} in the refusal of ${body.slice(0, 90)}`, () => {
        const error = refusal(operation, body);
        assert.equal(error.code, "invalid_request");
        assert.equal(error.details.param, param);
        assert.ok(error.message.startsWith(`\`${param}\` `), error.message);
        assert.ok(!error.message.includes(SECRET), "no content in messages");
        assert.ok(!error.message.includes("Invalid"), `written by us: ${error.message}`);
      });
    }
  }

  it("refuses what is not a JSON object, without quoting it", () => {
    for (const body of ["", `{"prompt": "${SECRET}`, SECRET, "[]", '"text"', "null", "17"]) {
      const error = refusal("chat", body);
      assert.equal(error.status, 400);
      assert.ok(!error.message.includes(SECRET));
    }
  });

  it("applies OpenAI's defaults", () => {
    assert.deepEqual(parseRequest("text_completion", completion()), {
      operation: "text_completion",
      model: "tiny",
      prompts: [{ kind: "text", text: "Hi" }],
      n: 1,
      maxTokens: { asked: undefined, otherwise: 16, field: "max_tokens" },
      sampling: {
        temperature: 1,
        topP: 1,
        topK: 0,
        minP: 0,
        repetitionPenalty: 1,
        presencePenalty: 0,
        frequencyPenalty: 0,
        typicalP: 1,
        logitBias: [],
        minTokens: 0,
      },
      seed: undefined,
      stop: { strings: [], includeString: false, tokenIds: [], ignoreEos: false },
      logprobs: undefined,
      format: undefined,
      tools: undefined,
      echo: false,
      priority: 0,
      cacheSalt: undefined,
      stream: false,
      includeUsage: false,
      user: undefined,
      ignoredFields: [],
    });
  });

  it("takes null as the default, in every field but the required ones", () => {
    const names =
      "max_tokens temperature top_p top_k min_p seed stop frequency_penalty presence_penalty repetition_penalty stream " +
      "stream_options user n best_of echo suffix logprobs logit_bias typical_p min_tokens ignore_eos stop_token_ids " +
      "include_stop_str_in_output priority cache_salt";
    const nulls = Object.fromEntries(names.split(" ").map((name) => [name, null]));
    assert.deepEqual(parseRequest("text_completion", completion(nulls)), parseRequest("text_completion", completion()));
  });

  it("takes no-op values of what it does not support", () => {
    const noop = {
      n: 1,
      logit_bias: {},
      logprobs: false,
      top_logprobs: 0,
      tools: [],
      tool_choice: "auto",
      functions: [],
      function_call: "none",
      response_format: { type: "text" },
      modalities: ["text"],
      audio: null,
    };
    assert.deepEqual(parseRequest("chat", chat(noop)), parseRequest("chat", chat()));
    const completionNoop = {
      n: 1,
      best_of: 1,
      echo: false,
      suffix: "",
      logit_bias: {},
      logprobs: false,
      response_format: { type: "text" },
      tools: [],
      tool_choice: "none",
    };
    assert.deepEqual(
      parseRequest("text_completion", completion(completionNoop)),
      parseRequest("text_completion", completion()),
    );
  });

  it("takes every form of one prompt and of several", () => {
    const prompts = (value: unknown) => parseRequest("text_completion", completion({ prompt: value })).prompts;
    assert.deepEqual(prompts(["Hi"]), [{ kind: "text", text: "Hi" }]);
    assert.deepEqual(prompts([1, 2]), [{ kind: "tokens", ids: [1, 2] }]);
    assert.deepEqual(prompts([7]), [{ kind: "tokens", ids: [7] }]);
    assert.deepEqual(prompts([[1, 2]]), [{ kind: "tokens", ids: [1, 2] }]);
    assert.deepEqual(prompts(["a", "b"]), [
      { kind: "text", text: "a" },
      { kind: "text", text: "b" },
    ]);
    assert.deepEqual(prompts([[1], [2, 3]]), [
      { kind: "tokens", ids: [1] },
      { kind: "tokens", ids: [2, 3] },
    ]);
  });

  it("takes what vLLM's and OpenAI's clients send beside", () => {
    const fields = {
      n: 3,
      best_of: 3,
      typical_p: 0.5,
      logit_bias: { 7: -100, 0: 1.5 },
      min_tokens: 2,
      ignore_eos: true,
      stop_token_ids: [5],
      include_stop_str_in_output: true,
      priority: -3,
      cache_salt: "abc",
      echo: true,
      max_tokens: 0,
      logprobs: 0,
    };
    const { sampling, stop, ...request } = parseRequest("text_completion", completion(fields));
    assert.deepEqual([sampling.typicalP, sampling.minTokens], [0.5, 2]);
    assert.deepEqual(sampling.logitBias, [
      [0, 1.5],
      [7, -100],
    ]);
    assert.deepEqual(stop, { strings: [], includeString: true, tokenIds: [5], ignoreEos: true });
    assert.deepEqual([request.n, request.priority, request.cacheSalt, request.echo], [3, -3, "abc", true]);
    assert.deepEqual([request.maxTokens.asked, request.logprobs], [0, 0]);
    assert.deepEqual(request.ignoredFields, []);
  });

  it("asks for as many alternatives as `top_logprobs` says, and for none without `logprobs`", () => {
    assert.equal(parseRequest("chat", chat({ logprobs: true, top_logprobs: 4 })).logprobs, 4);
    assert.equal(parseRequest("chat", chat({ logprobs: true })).logprobs, 0);
    assert.equal(parseRequest("chat", chat({ logprobs: false, top_logprobs: 0 })).logprobs, undefined);
  });

  it("takes every role and both forms of content", () => {
    const body = chat({
      messages: [
        { role: "developer", content: "a" },
        { role: "system", content: "b", name: "x" },
        {
          role: "user",
          content: [
            { type: "text", text: "c" },
            { type: "text", text: "d" },
          ],
        },
        { role: "assistant", content: "", tool_calls: [] },
        { role: "tool", content: "e", tool_call_id: "1" },
      ],
    });
    assert.deepEqual(parseRequest("chat", body).prompts[0], {
      kind: "messages",
      messages: [
        { role: "system", content: "a" },
        { role: "system", content: "b", name: "x" },
        { role: "user", content: "c\nd" },
        { role: "assistant", content: "" },
        { role: "tool", content: "e", tool_call_id: "1" },
      ],
    });
  });

  it("takes a turn that calls tools and has no content", () => {
    const calls = [{ id: "1", type: "function", function: { name: "a", arguments: "{}" } }];
    const [prompt] = parseRequest("chat", message({ role: "assistant", content: null, tool_calls: calls })).prompts;
    assert.deepEqual(prompt, { kind: "messages", messages: [{ role: "assistant", content: "", tool_calls: calls }] });
  });

  it("reads the answer's format", () => {
    const formatOf = (format: object) => parseRequest("chat", chat({ response_format: format })).format;
    assert.equal(formatOf({ type: "text" }), undefined);
    assert.deepEqual(formatOf({ type: "json_object" }), { kind: "json_object" });
    assert.deepEqual(formatOf(jsonSchema({ type: "null" })), { kind: "json_schema", schema: '{"type":"null"}' });
  });

  it("reads tools and which of them may be called", () => {
    const toolsOf = (fields: object) => parseRequest("chat", chat({ tools: [tool("a"), tool("b")], ...fields })).tools;
    const names = (fields: object) => toolsOf(fields)?.callable.map(({ name }) => name);
    assert.equal(toolsOf({ tool_choice: "none" }), undefined);
    assert.equal(toolsOf({})?.choice, "auto");
    assert.equal(toolsOf({})?.parallel, true);
    assert.equal(toolsOf({ parallel_tool_calls: false })?.parallel, false);
    assert.deepEqual(names({ tool_choice: "required" }), ["a", "b"]);
    const named = { tool_choice: { type: "function", function: { name: "b" } } };
    assert.deepEqual(names(named), ["b"]);
    assert.equal(toolsOf(named)?.choice, "named");
    assert.deepEqual(
      toolsOf(named)?.tools.map((one) => one.function.name),
      ["a", "b"],
    );
  });

  it("lets a tool that is not strict have a schema that cannot be held to, and one without parameters have none", () => {
    const loose = { type: "function", function: { name: "a", strict: false, parameters: { not: {} } } };
    const bare = { type: "function", function: { name: "b" } };
    const { tools } = parseRequest("chat", chat({ tools: [loose, bare] }));
    assert.deepEqual(
      tools?.callable.map(({ parameters }) => JSON.parse(parameters) as unknown),
      [{ type: "object" }, { type: "object", properties: {}, additionalProperties: false }],
    );
  });

  it("prefers max_completion_tokens, and remembers which field was used", () => {
    const both = parseRequest("chat", chat({ max_tokens: 5, max_completion_tokens: 6 })).maxTokens;
    assert.deepEqual(both, { asked: 6, otherwise: Number.POSITIVE_INFINITY, field: "max_completion_tokens" });
    assert.equal(parseRequest("chat", chat({ max_tokens: 5 })).maxTokens.asked, 5);
  });

  it("keeps values at the borders, and 0 as 0", () => {
    const { sampling } = parseRequest("text_completion", completion({ temperature: 0, top_p: 0, top_k: -1, min_p: 0 }));
    assert.equal(sampling.temperature, 0);
    assert.equal(sampling.topP, Number.EPSILON);
    assert.equal(sampling.topK, 0);
    assert.equal(parseRequest("text_completion", completion({ temperature: 2 })).sampling.temperature, 2);
    assert.equal(parseRequest("text_completion", completion({ seed: 0 })).seed, 0);
    assert.equal(parseRequest("text_completion", completion({ seed: -1 })).seed, Number.MAX_SAFE_INTEGER);
  });

  it("ignores unknown fields, and names them", () => {
    const body = completion({ foo: SECRET, service_tier: "auto", n: 1 });
    assert.deepEqual(parseRequest("text_completion", body).ignoredFields, ["foo", "service_tier"]);
  });
});

describe("parseRequest with a model's defaults", () => {
  const defaults = { temperature: 0.6, top_p: 0.9, top_k: 20, min_p: 0.05, repetition_penalty: 1.1 };
  const sampling = (fields: object, operation: Operation = "text_completion") =>
    parseRequest(operation, operation === "chat" ? chat(fields) : completion(fields), defaults).sampling;

  it("takes them for what the request leaves out or says null to, on both routes", () => {
    const expected = { temperature: 0.6, topP: 0.9, topK: 20, minP: 0.05, repetitionPenalty: 1.1 };
    for (const operation of ["chat", "text_completion"] as const) {
      const { temperature, topP, topK, minP, repetitionPenalty } = sampling({ temperature: null }, operation);
      assert.deepEqual({ temperature, topP, topK, minP, repetitionPenalty }, expected);
    }
  });

  it("takes the request's own values first, 0 among them", () => {
    const { temperature, topP, topK } = sampling({ temperature: 0, top_p: 1, top_k: 0 });
    assert.deepEqual([temperature, topP, topK], [0, 1, 0]);
  });

  it("has OpenAI's without them", () => {
    const { temperature, topP, topK, repetitionPenalty } = parseRequest("chat", chat()).sampling;
    assert.deepEqual([temperature, topP, topK, repetitionPenalty], [1, 1, 0, 1]);
  });

  it("does not report them as fields without effect", () => {
    assert.deepEqual(parseRequest("chat", chat(), defaults).ignoredFields, []);
  });
});
