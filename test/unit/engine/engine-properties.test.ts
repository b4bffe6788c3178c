/**
 * What the engine promises whatever happens, on random traffic: see the properties' names. `ENGINE_RUNS` sets how many
 * scenarios each property tries (100 by default), `ENGINE_SEED` repeats a run that failed.
 */
import assert from "node:assert/strict";
import fc from "fast-check";
import { commonPrefix } from "../../../src/engine/cache/prefix.js";
import type { EngineRequest, EngineStats, RequestEvent } from "../../../src/protocol.js";
import { engineRequest, growthsOf, story, tokensOf } from "../../support/engine-requests.js";
import {
  eventsById,
  type Logits,
  type Played,
  play,
  type Scenario,
  type ScenarioRequest,
  textAlone,
} from "../../support/engine-scenario.js";
import { hashedLogits } from "../../support/fake-runner.js";

const RUNS = Number(process.env.ENGINE_RUNS ?? 100);
const SEED = process.env.ENGINE_SEED;
const VOCAB = 24;
const CONTEXT = 64;
/** Logits of histories that end with it, once in a while, are not numbers. */
const BREAKING = 3;

/** Text that often repeats what followed the last token before, so that guesses come true, but depends on all of it. */
const repeating: Logits = (history, vocabSize) => {
  const logits = hashedLogits(history, vocabSize);
  const last = history.at(-1) ?? 0;
  const surprise = history.reduce((sum, token) => (sum * 31 + token) % 997, 7) % 9 === 0;
  if (!surprise) logits[(last * 5 + 7) % (vocabSize / 3)] = 12;
  return logits;
};

const broken =
  (logits: Logits): Logits =>
  (history, vocabSize) => {
    const row = logits(history, vocabSize);
    if (history.length % 13 === 5 && history.at(-1) === BREAKING) row[BREAKING] = Number.NaN;
    return row;
  };

const sampling = fc.record({
  temperature: fc.constantFrom(0, 0, 0.7, 1.3),
  topK: fc.constantFrom(0, 5),
  topP: fc.constantFrom(1, 0.8),
  minP: fc.constantFrom(0, 0.05),
  typicalP: fc.constantFrom(1, 0.9),
  repetitionPenalty: fc.constantFrom(1, 1, 1.3),
  presencePenalty: fc.constantFrom(0, 0, 0.4),
  frequencyPenalty: fc.constantFrom(0, 0, 0.2),
  logitBias: fc.constantFrom([], [[2, 3]] as const),
  minTokens: fc.constantFrom(0, 0, 4),
  seed: fc.nat(),
});

/** One of a few beginnings, cut somewhere, and a tail of its own: prompts share prefixes, and are often the same. */
const prompt = fc
  .record({
    family: fc.nat(2),
    shared: fc.nat(30),
    tail: fc.array(fc.nat(VOCAB - 1), { maxLength: 8 }),
  })
  .map(({ family, shared, tail }) => {
    const beginning = Array.from({ length: shared }, (_, i) => (family * 5 + i * (family + 3)) % VOCAB);
    return Int32Array.from([...beginning, ...tail]);
  });

const arrival = fc.record(
  {
    prompt,
    sampling,
    maxTokens: fc.integer({ min: 0, max: 24 }),
    stopTokenIds: fc.constantFrom([], [11], [1, 2]),
    priority: fc.constantFrom(0, 0, 0, 1, -2),
    cacheSalt: fc.constantFrom("", "", "a", "b"),
    logprobs: fc.option(fc.nat(3), { freq: 6 }),
    promptLogprobs: fc.constantFrom(false, false, false, false, true),
    pause: fc.constantFrom(0, 0, 0, 1, 2, 9, 400),
    ends: fc.option(fc.record({ after: fc.nat(20), by: fc.constantFrom("cancel", "stop") }), { freq: 3 }),
  },
  { noNullPrototype: true },
);

const requests = fc.array(arrival, { minLength: 1, maxLength: 24, size: "max" }).map((arrivals) => {
  let step = 0;
  return arrivals.map(({ pause, ends, logprobs, ...fields }, i): ScenarioRequest => {
    step += pause;
    const request = engineRequest({ ...fields, ...(logprobs === null ? {} : { logprobs }), id: `r${i}` });
    return { request, arrives: step, ...(ends === null ? {} : { ends }) };
  });
});

const settings = {
  maxSequences: fc.integer({ min: 1, max: 6 }),
  contextLength: fc.constant(CONTEXT),
  vocabSize: fc.constant(VOCAB),
  prefillChunk: fc.integer({ min: 1, max: 40 }),
  targetTpotMs: fc.option(fc.integer({ min: 1, max: 6 }), { nil: undefined }),
  kvTokens: fc.option(fc.integer({ min: 40, max: 240 }), { nil: undefined }),
  rewinds: fc.boolean(),
  logits: fc.constantFrom<Logits>(hashedLogits, repeating, repeating),
  requests,
};

/** Nothing goes wrong. */
const calm = fc.record({ ...settings, memory: fc.constant(undefined), failEvery: fc.constant(0) });

/** Runs fail, logits are no numbers, there is less memory than was promised. */
const stormy = fc.record({
  ...settings,
  memory: fc.option(fc.integer({ min: 40, max: 300 }), { nil: undefined }),
  failEvery: fc.constantFrom(0, 0, 7, 23),
  logits: settings.logits.chain((logits) => fc.constantFrom(logits, broken(logits))),
});

/** Memory is short, but for one request at a time there is enough. */
const short = fc.record({
  ...settings,
  memory: fc.constant(undefined),
  failEvery: fc.constant(0),
  rowsInMemory: fc.integer({ min: 1, max: 4 }),
  copyFails: fc.boolean(),
});

/** Of the fake runner's model. */
const KV_BYTES_PER_TOKEN = 128;

function holds(scenarios: fc.Arbitrary<Scenario>, check: (scenario: Scenario, played: Played) => void): Promise<void> {
  const property = fc.asyncProperty(scenarios, async (scenario) => check(scenario, await play(scenario)));
  return fc.assert(property, { numRuns: RUNS, ...(SEED === undefined ? {} : { seed: Number(SEED) }) });
}

describe("Engine on random traffic", function () {
  this.timeout(600_000);

  it("gives each request the text it has alone, and ends it once", () =>
    holds(calm, (scenario, { events }) => {
      const own = eventsById(events);
      for (const { request, ends } of scenario.requests)
        checkStory(scenario, request, own.get(request.id) ?? [], ends?.by);
    }));

  it("fails only what is in a step that fails, and gives the rest its text", () =>
    holds(stormy, (scenario, { events }) => {
      const own = eventsById(events);
      for (const { request } of scenario.requests) {
        const words = checkLife(request, own.get(request.id) ?? []);
        const alone = textOf(scenario, request);
        const tokens = tokensOf(events, request.id);
        assert.deepEqual(tokens, alone.tokens.slice(0, tokens.length), `${request.id} has another text than alone`);
        if (words.at(-1) === "finished length") assert.deepEqual(tokens, alone.tokens);
      }
    }));

  it("fails nobody for want of a run's or a copy's memory that one request alone has", () =>
    holds(short, (scenario, { events }) => {
      const own = eventsById(events);
      for (const { request, ends } of scenario.requests)
        checkStory(scenario, request, own.get(request.id) ?? [], ends?.by);
    }));

  it("tells of all the growth of the cache's memory, of each once", () =>
    holds(stormy, ({ memory }, { events }) => {
      const growths = growthsOf(events);
      const last = events.flatMap((event) => (event.type === "stats" ? [event.stats] : [])).at(-1) as EngineStats;
      let bytes = 0;
      for (const { fromBytes, toBytes, refused } of growths) {
        assert.equal(fromBytes, bytes);
        bytes = toBytes;
        if (refused !== undefined) assert.ok(memory !== undefined && refused.bytes > memory * KV_BYTES_PER_TOKEN);
      }
      assert.equal(bytes, last.kvBytesAllocated);
      assert.equal(
        growths.some(({ refused }) => refused !== undefined),
        last.kvRefusals > 0,
      );
    }));

  it("lets go of a request within one step of being told, and of everything in the end", () =>
    holds(stormy, (_, { events, endedIn }) => {
      for (const [id, { asked, told }] of endedIn) {
        if (asked !== undefined) assert.ok(told <= asked + 1, `${id} was let go ${told - asked} steps late`);
      }
      const last = events.flatMap((event) => (event.type === "stats" ? [event.stats] : [])).at(-1) as EngineStats;
      assert.deepEqual([last.waiting, last.running, last.kvTokensReserved], [0, 0, 0]);
    }));

  it("shares out exactly the time that steps took", () =>
    holds(stormy, (_, { events, busy }) => {
      const shares = events.reduce((sum, event) => sum + deviceSecondsOf(event), 0);
      assert.ok(Math.abs(shares - busy / 1e6) < 1e-9, `shares of ${shares * 1e6} us, steps of ${busy} us`);
    }));

  it("reuses no token across salts", () =>
    holds(calm, (scenario, { events }) => {
      const before: EngineRequest[] = [];
      for (const event of events) {
        if (event.type !== "admitted") continue;
        const request = requestOf(scenario, event.id);
        const { reusedTokens } = event.allocation;
        const shared = before.filter(({ cacheSalt }) => cacheSalt === request.cacheSalt);
        const most = Math.max(0, ...shared.map((other) => commonWith(scenario, other, request)));
        assert.ok(reusedTokens <= most, `${event.id} reuses ${reusedTokens} tokens, but its salt has ${most} of them`);
        before.push(request);
      }
    }));

  it("serves first come first within a priority", () =>
    holds(calm, (scenario, { events }) => {
      const first = new Map<string, number>();
      for (const event of events) {
        if (event.type === "admitted" && !first.has(event.id)) first.set(event.id, Number(event.id.slice(1)));
      }
      for (const priority of new Set(scenario.requests.map(({ request }) => request.priority))) {
        const order = [...first].filter(([id]) => requestOf(scenario, id).priority === priority).map(([, i]) => i);
        assert.deepEqual(
          order,
          [...order].sort((a, b) => a - b),
        );
      }
    }));
});

function requestOf({ requests: all }: Scenario, id: string): EngineRequest {
  return (all[Number(id.slice(1))] as ScenarioRequest).request;
}

/** Its words, if they are those of one life. */
function checkLife({ id, maxTokens }: EngineRequest, events: readonly RequestEvent[]): string[] {
  const words = story(events, id);
  const life = words.map((word) => word.replace(/ .*/, "")).join(" ");
  const again = "(admitted (prompt_logprobs )*(prefilled (token )*)?preempted )*";
  const shape = new RegExp(
    `^${again}(admitted (prompt_logprobs )*(prefilled (token )*)?)?(finished|cancelled|failed)$`,
  );
  assert.match(life, shape, id);
  assert.ok(tokensOf(events, id).length <= maxTokens, `${id} has too many tokens`);
  return words;
}

/** In calm weather a request fails only if it could never run, and otherwise has all its text unless told to end. */
function checkStory(
  scenario: Scenario,
  request: EngineRequest,
  events: RequestEvent[],
  told?: "cancel" | "stop",
): void {
  const words = checkLife(request, events);
  const tokens = tokensOf(events, request.id);
  const last = words.at(-1);
  const { prompt: ids, maxTokens } = request;
  if (ids.length === 0 || maxTokens === 0) assert.equal(last, "failed invalid_request");
  else if (ids.length + maxTokens > Math.min(CONTEXT, scenario.kvTokens ?? CONTEXT)) {
    assert.equal(last, "failed context_length_exceeded");
  } else {
    const alone = textOf(scenario, request);
    const complete = last === `finished ${alone.end}` && tokens.length === alone.tokens.length;
    if (!complete) assert.equal(last, told === "stop" ? "finished stop" : "cancelled client_gone");
    if (!complete) assert.ok(told !== undefined, `${request.id} ended by itself: ${last}`);
    assert.deepEqual(tokens, alone.tokens.slice(0, tokens.length), `${request.id} has another text than alone`);
    if (told === undefined && request.promptLogprobs) checkScores(request, events);
  }
}

/** Each token of the prompt but the first is scored once, in order, however often the request had to start again. */
function checkScores({ id, prompt: ids }: EngineRequest, events: readonly RequestEvent[]): void {
  const scored = events.flatMap((event) => (event.type === "prompt_logprobs" ? event.positions : []));
  assert.deepEqual(
    scored.map(({ token }) => token),
    [...ids.subarray(1)],
    `${id} is scored otherwise`,
  );
}

const texts = new WeakMap<Scenario, Map<EngineRequest, ReturnType<typeof textAlone>>>();

function textOf(scenario: Scenario, request: EngineRequest): ReturnType<typeof textAlone> {
  const known = texts.get(scenario) ?? new Map<EngineRequest, ReturnType<typeof textAlone>>();
  texts.set(scenario, known);
  const text = known.get(request) ?? textAlone(request, scenario.logits, scenario.vocabSize);
  known.set(request, text);
  return text;
}

/** Tokens at the start of `request` that `other` may have cached, its output included. */
function commonWith(scenario: Scenario, other: EngineRequest, request: EngineRequest): number {
  const whole = (one: EngineRequest) => Int32Array.from([...one.prompt, ...textOf(scenario, one).tokens]);
  return commonPrefix(whole(other), whole(request));
}

function deviceSecondsOf(event: Played["events"][number]): number {
  if (event.type === "prefilled") return event.forward.deviceSeconds;
  return event.type === "ended" || event.type === "preempted" ? (event.forward?.deviceSeconds ?? 0) : 0;
}
