/** Ctrl-C in the terminal where `npm start` runs: npm passes it on, so the server hears it twice and the engine once. */
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import OpenAI from "openai";
import { openaiClient } from "../support/openai-client.js";
import { VitrineProcess } from "../support/vitrine-process.js";

/** Repetition is rewarded until nothing else is left, the end neither: this runs to its last token. */
const ENDLESS = {
  model: "tiny",
  prompt: "Once upon a time",
  temperature: 0,
  presence_penalty: -2,
  frequency_penalty: -2,
} as const;

describe("npm start", function () {
  this.timeout(120_000);
  let vitrine: VitrineProcess;

  const start = async (flags: readonly string[] = []): Promise<OpenAI> => {
    vitrine = await VitrineProcess.start({ npm: true, flags });
    return openaiClient(vitrine.url);
  };
  const linesWith = (text: string): number => vitrine.output.filter((line) => line.includes(text)).length;
  const nobodyIsLeft = async (): Promise<void> => {
    // Processes end in any order; what would be an orphan stays.
    for (const deadline = Date.now() + 10_000; vitrine.group.length > 0; await sleep(25)) {
      assert.ok(Date.now() < deadline, `left behind: ${vitrine.group.join(", ")}`);
    }
  };

  afterEach(() => vitrine?.kill());

  it("drains once at Ctrl-C, and leaves nobody behind", async () => {
    const openai = await start();
    const stream = await openai.completions.create({ ...ENDLESS, max_tokens: 700, stream: true });
    let finish: string | undefined;
    let chunks = 0;
    for await (const chunk of stream) {
      finish = chunk.choices[0]?.finish_reason ?? finish;
      if (++chunks === 1) vitrine.interruptGroup();
    }
    assert.equal(finish, "length", "the running request was finished");
    const exit = await vitrine.exited;
    // The server ends with 0; a shell between it and npm may report the signal that it got itself.
    assert.ok(exit.code === 0 || exit.signal === "SIGINT", JSON.stringify(exit));
    assert.deepEqual([linesWith("SIGINT: finishing"), linesWith("SIGINT: cancelling")], [1, 0]);
    await nobodyIsLeft();
  });

  it("waits no longer at a second Ctrl-C", async () => {
    const openai = await start(["--max-sequences", "1"]);
    const requests = Array.from({ length: 32 }, () =>
      openai.completions.create({ ...ENDLESS, max_tokens: 1500 }, { maxRetries: 0 }).catch((error: unknown) => error),
    );
    await vitrine.until("requests wait", async () => {
      const metrics = await (await fetch(`${vitrine.url}/metrics`)).text();
      return /^vitrine_requests_in_flight\{.*\} 32$/m.test(metrics);
    });
    vitrine.interruptGroup();
    await vitrine.until("it drains", () => linesWith("SIGINT: finishing") === 1);
    await sleep(600); // Sooner, it would be taken for npm's echo of the first.
    vitrine.interruptGroup();
    const answers = await Promise.all(requests);
    await vitrine.exited;
    assert.ok(
      answers.some((answer) => answer instanceof OpenAI.APIError),
      "nothing was left to cancel",
    );
    assert.equal(linesWith("SIGINT: cancelling"), 1);
    await nobodyIsLeft();
  });
});
