/** What the shipped model says, decided by the grammar that wrote its training text. */
import assert from "node:assert/strict";
import type OpenAI from "openai";
import { answersOf } from "../../models/tiny/chat.js";
import { generateStory, parseStory } from "../../models/tiny/grammar.js";
import { seededRandom } from "../../models/tiny/random.js";
import { openaiClient } from "../support/openai-client.js";
import { VitrineProcess } from "../support/vitrine-process.js";

const OPENING = "Once upon a time";
const STORIES = 200;
const AT_ONCE = 16;

/** Runs `task` for 0 to `count` - 1, some at once, and keeps the order of the results. */
async function gather<T>(count: number, task: (index: number) => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let index = next++; index < count; index = next++) results[index] = await task(index);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return results;
}

describe("the shipped model", function () {
  this.timeout(300_000);
  let vitrine: VitrineProcess;
  let openai: OpenAI;

  before(async () => {
    vitrine = await VitrineProcess.start();
    openai = openaiClient(vitrine.url);
  });
  after(() => vitrine.stop());

  const story = async (seed: number, temperature: number): Promise<string> => {
    const answer = await openai.completions.create({
      model: "tiny",
      prompt: OPENING,
      max_tokens: 400,
      temperature,
      seed,
    });
    return OPENING + (answer.choices[0]?.text ?? "");
  };

  it(`tells well-formed stories: at least 95 % of ${STORIES} at temperature 0.8`, async () => {
    const texts = await gather(STORIES, (seed) => story(seed, 0.8));
    const wrong = texts.filter((text) => !parseStory(text).ok);
    assert.ok(wrong.length <= STORIES * 0.05, `${wrong.length} are not:\n${wrong.slice(0, 3).join("\n")}`);
    assert.ok(new Set(texts).size > STORIES * 0.9, "they are too much alike");
  });

  it("tells a well-formed story greedily", async () => {
    const text = await story(0, 0);
    assert.ok(parseStory(text).ok, text);
  });

  it("answers questions about a story through its chat template", async () => {
    const random = seededRandom(7);
    const stories = Array.from({ length: 24 }, () => generateStory(random));
    const right = await gather(stories.length, async (index) => {
      const told = stories[index] as (typeof stories)[number];
      const [first] = answersOf(told);
      if (first === undefined) return false;
      const content = `${told.text}\n\n${first.question}`;
      const messages = [{ role: "user" as const, content }];
      const reply = await openai.chat.completions.create({ model: "tiny", messages, temperature: 0 });
      return reply.choices[0]?.message.content?.trim() === first.answer;
    });
    assert.ok(right.filter(Boolean).length >= 20, `${right.filter(Boolean).length} of ${right.length} were right`);
  });
});
