import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { seededRandom } from "../../../../models/tiny/random.js";
import { baseOf, bodyOf, history, type RequestOptions } from "../../../../src/bench/client/target.js";
import { promptFactory } from "../../../../src/bench/prompts/prompt-factory.js";
import { readPrompts, readReplay } from "../../../../src/bench/prompts/prompt-file.js";
import { syntheticPrompts } from "../../../../src/bench/prompts/synthetic.js";
import { TextMaker } from "../../../../src/bench/prompts/text-maker.js";
import { resolveModelDirectory } from "../../../../src/runtime/files/model-directory.js";
import { loadTokenizer } from "../../../../src/runtime/text/tokenizer.js";

const words = (text: string): number => text.split(" ").length;

describe("synthetic prompts", () => {
  it("have exactly the tokens asked for, by the target's tokenizer", async () => {
    const tokenizer = await loadTokenizer(resolveModelDirectory("tiny"));
    const count = (text: string): number => tokenizer.encode(text, { addSpecialTokens: false }).length;
    const maker = new TextMaker(count);
    const random = seededRandom(2);
    for (const length of [1, 2, 7, 50, 333]) assert.equal(count(maker.make(length, random)), length);
  });

  it("come as close as words can where each is several tokens, and are never empty", () => {
    const maker = new TextMaker((text) => text.length);
    for (const length of [2, 3, 50, 99]) {
      const made = maker.make(length, seededRandom(length)).length;
      assert.ok(made === length || made === length - 1, `${made} of ${length}`);
    }
    assert.equal(new TextMaker((text) => 5 * text.length).make(1, seededRandom(1)), "a");
  });

  it("share the system prompt and nothing else", () => {
    const options = {
      lengths: { kind: "fixed", value: 12 } as const,
      turns: 2,
      sharedPrefix: 30,
      maker: new TextMaker(words),
    };
    const source = syntheticPrompts(options, seededRandom(1));
    const [a, b] = [source(seededRandom(10)), source(seededRandom(11))];
    assert.deepEqual(a.opening, b.opening);
    assert.equal(words(a.opening[0]?.content ?? ""), 30);
    assert.deepEqual(a.turns.map(words), [12, 12]);
    assert.equal(new Set([...a.turns, ...b.turns]).size, 4);
    assert.deepEqual(source(seededRandom(10)), a, "the same random numbers, the same prompt");
  });
});

describe("prompts of the shipped grammar", () => {
  const start = (api: "chat" | "completions", turns: number) => {
    const lengths = { kind: "fixed", value: 1 } as const;
    return promptFactory({ prompts: "grammar", api, lengths, turns, sharedPrefix: 0, seed: 1 }).start();
  };

  it("are what users say in its conversations, up to the turns asked for", () => {
    const chats = Array.from({ length: 50 }, (_, seed) => start("chat", 2)(seededRandom(seed)));
    assert.ok(chats.every(({ turns }) => turns.length >= 1 && turns.length <= 2));
    assert.ok(chats.some(({ turns }) => turns.length === 2));
    assert.ok(chats.every(({ opening }) => opening.every(({ role }) => role === "system")));
  });

  it("are first sentences of stories for completions", () => {
    assert.match(start("completions", 1)(seededRandom(1)).turns[0] ?? "", /^[A-Z].*\.$/);
  });
});

describe("prompt files", () => {
  const folder = mkdtempSync(join(tmpdir(), "vitrine-bench-"));
  after(() => rmSync(folder, { recursive: true }));
  const file = (...lines: readonly (string | object)[]): string => {
    const path = join(folder, "prompts.jsonl");
    writeFileSync(path, lines.map((line) => (typeof line === "string" ? line : JSON.stringify(line))).join("\n"));
    return path;
  };

  it("hold prompts, turns, messages or lengths", () => {
    const entries = readPrompts(
      file(
        { prompt: "one", max_tokens: 9 },
        "",
        { turns: ["two", "three"], system: "be brief" },
        {
          messages: [
            { role: "user", content: "a" },
            { role: "assistant", content: "b" },
            { role: "user", content: "c" },
          ],
        },
        { timestamp: 0, input_length: 5, output_length: 6, hash_ids: [1] },
      ),
    );
    assert.deepEqual(entries[0], { kind: "plan", plan: { opening: [], turns: ["one"], maxTokens: 9 } });
    assert.deepEqual(entries[1], {
      kind: "plan",
      plan: { opening: [{ role: "system", content: "be brief" }], turns: ["two", "three"] },
    });
    assert.deepEqual(entries[2]?.kind === "plan" && [entries[2].plan.opening.length, entries[2].plan.turns], [
      2,
      ["c"],
    ]);
    assert.deepEqual(entries[3], { kind: "lengths", input: 5, output: 6 });
  });

  it("are refused by line, without a word of what it says", () => {
    for (const [line, why] of [
      ["{secret", "not JSON"],
      ['{"prompt": ""}', "not empty"],
      ['{"question": "secret"}', "expected one of"],
      ['{"messages": []}', "at least one message"],
    ] as const) {
      assert.throws(
        () => readPrompts(file({ prompt: "fine" }, line)),
        (error: Error) =>
          error.message.includes("line 2") && error.message.includes(why) && !error.message.includes("secret"),
      );
    }
    assert.throws(() => readPrompts(file("")), /has no lines/);
    assert.throws(() => readPrompts(join(folder, "none")), /none: cannot be read, there is no such file\.$/);
  });

  it("replay in the order of time, from their first", () => {
    const path = file(
      { timestamp: 1500, prompt: "late" },
      { timestamp: 1000, prompt: "first" },
      { timestamp: 1250.5, prompt: "then" },
    );
    assert.deepEqual(
      readReplay(path).map(({ at }) => at),
      [0, 250.5, 500],
    );
    const choice = { prompts: "synthetic", api: "chat", turns: 1, sharedPrefix: 0, seed: 1 } as const;
    const factory = promptFactory({ ...choice, replay: path, lengths: { kind: "fixed", value: 1 } });
    const next = factory.start();
    const random = seededRandom(1);
    assert.deepEqual(
      [0, 1, 2, 3].map(() => next(random).turns[0]),
      ["first", "then", "late", "first"],
    );
    assert.deepEqual(factory.times, [0, 250.5, 500]);
    assert.throws(() => readReplay(file({ prompt: "when?" })), /line 1/);
  });

  it("give recorded lengths to synthetic prompts, and say that they are words", () => {
    const path = file({ timestamp: 0, input_length: 40, output_length: 6 });
    const choice = { prompts: path, api: "chat", turns: 1, sharedPrefix: 0, seed: 1 } as const;
    const plan = promptFactory({ ...choice, lengths: { kind: "fixed", value: 1 } }).start()(seededRandom(1));
    assert.equal(words(plan.turns[0] ?? ""), 40);
    assert.equal(plan.maxTokens, 6);
    assert.match(
      promptFactory({ ...choice, replay: path, lengths: { kind: "fixed", value: 1 } }).notes.join(),
      /words/,
    );
  });
});

describe("request bodies", () => {
  const options: RequestOptions = { api: "chat", model: "m", stream: true, ignoreEos: false, extraBody: {} };
  const plan = { opening: [{ role: "system", content: "S" }], turns: ["one", "two"] };

  it("hold the chat so far, with the answers that the target gave", () => {
    const body = JSON.parse(bodyOf(options, history(plan, ["eins"]), "two", 8)) as { messages: unknown };
    assert.deepEqual(body.messages, [
      { role: "system", content: "S" },
      { role: "user", content: "one" },
      { role: "assistant", content: "eins" },
      { role: "user", content: "two" },
    ]);
  });

  it("are one text for completions", () => {
    const body = JSON.parse(bodyOf({ ...options, api: "completions" }, history(plan, ["eins"]), "two", 8));
    assert.equal(body.prompt, "S\none\neins\ntwo");
  });

  it("ask for usage in streams, and let further fields replace any", () => {
    const extraBody = { stream_options: null, top_p: 0.5 };
    const body = JSON.parse(bodyOf({ ...options, temperature: 0, ignoreEos: true, extraBody }, [], "x", 8));
    assert.deepEqual(
      [body.stream, body.stream_options, body.top_p, body.temperature, body.ignore_eos, body.max_tokens],
      [true, null, 0.5, 0, true, 8],
    );
    assert.equal("stream" in JSON.parse(bodyOf({ ...options, stream: false }, [], "x", 8)), false);
  });

  it("go to the same route with and without /v1", () => {
    for (const url of ["http://a:1", "http://a:1/", "http://a:1/v1", "http://a:1/v1/"])
      assert.equal(baseOf(url), "http://a:1/v1");
    assert.equal(baseOf("https://a/openai/v2"), "https://a/openai/v2");
  });
});
