import assert from "node:assert/strict";
import type { AnswerReader } from "../../../../src/bench/client/answer-reader.js";
import type { Sending } from "../../../../src/bench/client/exchange.js";
import type { HttpClient } from "../../../../src/bench/client/http-client.js";
import { createBenchTracing } from "../../../../src/bench/client/tracing.js";
import { Budget } from "../../../../src/bench/load/budget.js";
import { ChatPlayer, type PlayOptions } from "../../../../src/bench/load/chat-player.js";
import { seedOf } from "../../../../src/bench/load/random.js";
import type { ChatPlan } from "../../../../src/bench/prompts/chat-plan.js";
import type { Outcome, RequestRecord } from "../../../../src/bench/result.js";
import { VirtualClock } from "../../../support/virtual-clock.js";

const OPTIONS: PlayOptions = {
  request: { api: "chat", model: "m", stream: true, ignoreEos: false, extraBody: {} },
  maxTokens: { kind: "fixed", value: 16 },
  thinkTimeMs: 100,
  cancelRate: 0,
  cancelAfterMs: 1_000,
  propagation: ["b3multi"],
};

/** Plays one chat against a target that takes 50 ms and answers what `outcomes` says, turn by turn. */
async function play(changes: Partial<PlayOptions>, plan: ChatPlan, outcomes: readonly Outcome[] = [], count = 100) {
  const clock = new VirtualClock();
  const signal = new AbortController().signal;
  const sent: Sending[] = [];
  const records: RequestRecord[] = [];
  const send = async (sending: Sending) => {
    const number = sent.push(sending);
    const begin = clock.now();
    await clock.until(begin + 50);
    const reader = { firstToken: begin + 20, gaps: [10, 20], chunks: 3, text: `answer ${number}` };
    return {
      ...{ sent: begin, end: clock.now(), status: 200, reader: reader as unknown as AnswerReader },
      outcome: outcomes[number - 1] ?? ({ kind: "ok" } as const),
    };
  };
  const player = new ChatPlayer(
    { ...OPTIONS, ...changes },
    {
      ...{ clock, signal, seed: 1, path: "/v1/chat/completions", load: "test", repeat: 2, onSend: () => {} },
      client: { send } as unknown as HttpClient,
      tracing: createBenchTracing({ clock, runId: "r", zipkinEndpoint: undefined, log: () => {} }),
      source: () => plan,
      budget: new Budget({ kind: "requests", count }, 0, signal),
      onRecord: (record) => records.push(record),
    },
  );
  const end = await clock.play(player.play(0, 0));
  return { sent, records, end, bodies: sent.map(({ body }) => JSON.parse(body) as Record<string, unknown>) };
}

const CHAT: ChatPlan = { opening: [{ role: "system", content: "S" }], turns: ["one", "two", "three"] };

describe("chat player", () => {
  it("sends each turn after the answer to the one before and the time to think, with what was answered", async () => {
    const { records, bodies, end } = await play({}, CHAT);
    assert.deepEqual(
      records.map(({ intended }) => intended),
      [0, 150, 300],
    );
    assert.equal(end.at, 350);
    assert.deepEqual(bodies[1]?.messages, [
      { role: "system", content: "S" },
      { role: "user", content: "one" },
      { role: "assistant", content: "answer 1" },
      { role: "user", content: "two" },
    ]);
  });

  it("ends a chat at the first turn that is not answered, and when the budget is spent", async () => {
    const failed = await play({}, CHAT, [{ kind: "ok" }, { kind: "http", status: 429 }]);
    assert.deepEqual(
      failed.records.map(({ outcome }) => outcome.kind),
      ["ok", "http"],
    );
    assert.equal(failed.end.unreachable, false);
    assert.equal((await play({}, CHAT, [], 1)).records.length, 2, "the loop has taken the first one's share");
  });

  it("records times, the trace that its headers name, and tokens of its own count without usage", async () => {
    const { records, sent } = await play({ countText: (text) => text.length }, { opening: [], turns: ["one"] });
    const [{ traceId, ...record }] = records as [RequestRecord];
    assert.equal(sent[0]?.headers["x-b3-traceid"], traceId);
    assert.deepEqual(record, {
      ...{ repeat: 2, intended: 0, sent: 0, firstToken: 20, end: 50, gaps: [10, 20] },
      ...{ outputTokens: "answer 1".length, outcome: { kind: "ok" } },
    });
    const bare = await play({ propagation: [] }, { opening: [], turns: ["one"] });
    assert.deepEqual([bare.records[0]?.outputTokens, bare.records[0]?.traceId], [3, undefined], "chunks are counted");
    assert.deepEqual(Object.keys(bare.sent[0]?.headers ?? {}), ["content-type"]);
  });

  it("sends the key, a plan's own length, and cancels as many as asked", async () => {
    const { sent, bodies } = await play({ apiKey: "k", cancelRate: 1 }, { opening: [], turns: ["one"], maxTokens: 5 });
    assert.equal(sent[0]?.headers.authorization, "Bearer k");
    assert.equal(bodies[0]?.max_tokens, 5);
    const after = sent[0]?.cancelAfterMs ?? -1;
    assert.ok(after >= 0 && after < 1_000);
  });
});

describe("seeds", () => {
  it("of neighbouring parts have nothing in common", () => {
    const seeds = new Set<number>();
    for (let seed = 0; seed < 10; seed++)
      for (let load = 0; load < 5; load++)
        for (let repeat = -1; repeat < 5; repeat++)
          for (let chat = 0; chat < 30; chat++) seeds.add(seedOf(seedOf(seed, load, repeat), chat));
    assert.equal(seeds.size, 10 * 5 * 6 * 30);
  });
});
