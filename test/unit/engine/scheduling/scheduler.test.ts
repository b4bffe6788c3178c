import assert from "node:assert/strict";
import { KvCache } from "../../../../src/engine/cache/kv-cache.js";
import type { RunnerRow } from "../../../../src/engine/runner.js";
import { Random } from "../../../../src/engine/sampling/random.js";
import type { Plan } from "../../../../src/engine/scheduling/plan.js";
import { Scheduler } from "../../../../src/engine/scheduling/scheduler.js";
import { stepTiming } from "../../../../src/engine/step.js";
import { VitrineError } from "../../../../src/errors.js";
import type { EngineRequest, RequestEvent } from "../../../../src/protocol.js";
import { engineRequest, story, tokensOf } from "../../../support/engine-requests.js";

type Choice = number | VitrineError;

interface Settings {
  readonly slots: number;
  readonly tokensPerSlot?: number;
  /** Most cells of cache. */
  readonly cells?: number;
  readonly prefillChunk?: number;
  readonly rewinds?: boolean;
  readonly targetTpotMs?: number;
  /** Microseconds that a step takes. */
  readonly takes?: (plan: Plan) => number;
}

/** A scheduler with its cache, its events and a clock that advances by one at each reading. */
function makeScheduler({ slots, tokensPerSlot = 64, prefillChunk = 256, rewinds = true, ...more }: Settings) {
  const events: RequestEvent[] = [];
  const released: number[] = [];
  let now = 0;
  const clock = (): number => now++;
  const memory = { rewinds, reserve: () => {}, copy: () => {}, release: (slot: number) => void released.push(slot) };
  const cells = more.cells ?? slots * tokensPerSlot;
  const cache = new KvCache({ rows: slots, tokens: tokensPerSlot, cells, memory, clock });
  const scheduler = new Scheduler({
    cache,
    kvBytesPerToken: 10,
    rewinds,
    prefillChunk,
    ...(more.targetTpotMs === undefined ? {} : { targetTpotMs: more.targetTpotMs }),
    clock,
    emit: (event) => events.push(event),
  });
  let steps = 0;
  const timing = (plan: Plan) => {
    const start = clock();
    now += (more.takes?.(plan) ?? 1) - 1;
    return stepTiming(plan, ++steps, start, clock());
  };
  /** Runs one step; every row's choice is `choose`'s. Tells what ran, e.g. `decode a b`. */
  const step = (choose: (id: string, row: RunnerRow, position: number) => Choice = () => 7): string | undefined => {
    const plan = scheduler.plan();
    if (plan === undefined) return undefined;
    scheduler.checkInvariants();
    const ids = plan.sequences.map(({ id }) => id);
    scheduler.commit(plan, timing(plan), {
      choose: (row, position) => {
        const choice = choose(ids[row] as string, plan.rows[row] as RunnerRow, position);
        return choice instanceof VitrineError ? choice : { token: choice };
      },
      score: (_row, _position, token) => ({ token, logprob: -1, top: [] }),
    });
    scheduler.checkInvariants();
    return [plan.phase, ...ids].join(" ");
  };
  const fail = (): void => {
    const plan = scheduler.plan();
    assert.ok(plan !== undefined);
    scheduler.fail(plan, timing(plan), { code: "inference_failed", message: "out of memory" });
    scheduler.checkInvariants();
  };
  return { scheduler, cache, events, released, step, fail };
}

/** Three tokens that no other request begins with. */
const ownPrompt = (id: string, maxTokens: number): EngineRequest =>
  engineRequest({ id, maxTokens, prompt: Int32Array.of(id.charCodeAt(0), 2, 3) });

describe("Scheduler", () => {
  describe("fairness", () => {
    interface Case {
      readonly name: string;
      readonly slots: number;
      readonly prefillChunk?: number;
      /** Requests (id, tokens to generate) that arrive before the step of that number. */
      readonly arrivals: Readonly<Record<number, readonly (readonly [string, number])[]>>;
      readonly steps: readonly string[];
    }
    const cases: Case[] = [
      {
        name: "a lone request is prefilled, then decoded",
        slots: 2,
        arrivals: { 0: [["a", 3]] },
        steps: ["prefill a", "decode a", "decode a"],
      },
      {
        name: "requests that arrive together progress together",
        slots: 3,
        arrivals: {
          0: [
            ["a", 6],
            ["b", 3],
            ["c", 2],
          ],
        },
        steps: ["prefill a b c", "decode a b c", "decode a b", "decode a", "decode a", "decode a"],
      },
      {
        name: "an arrival gets in after the decode step that runs",
        slots: 2,
        arrivals: { 0: [["a", 5]], 3: [["b", 2]] },
        steps: ["prefill a", "decode a", "decode a", "prefill b", "decode a b", "decode a"],
      },
      {
        name: "prefills that leave nothing to decode follow each other",
        slots: 2,
        prefillChunk: 3,
        arrivals: {
          0: [
            ["a", 1],
            ["b", 1],
            ["c", 2],
          ],
        },
        steps: ["prefill a", "prefill b", "prefill c", "decode c"],
      },
      {
        name: "with all slots taken the first to come is the first to get one",
        slots: 1,
        arrivals: {
          0: [
            ["a", 3],
            ["b", 2],
            ["c", 1],
          ],
        },
        steps: ["prefill a", "decode a", "decode a", "prefill b", "decode b", "prefill c"],
      },
      {
        name: "a stream waits for one chunk at most between two tokens, however many arrive",
        slots: 8,
        prefillChunk: 4,
        arrivals: {
          0: [["a", 5]],
          1: [
            ["b", 1],
            ["c", 1],
            ["d", 1],
          ],
        },
        steps: ["prefill a", "decode a", "prefill b c", "decode a", "prefill c d", "decode a", "prefill d", "decode a"],
      },
    ];
    for (const { name, slots, prefillChunk = 256, arrivals, steps } of cases) {
      it(name, () => {
        const { scheduler, step } = makeScheduler({ slots, prefillChunk });
        const seen: string[] = [];
        for (let number = 0; number <= steps.length; number++) {
          for (const [id, maxTokens] of arrivals[number] ?? []) scheduler.submit(ownPrompt(id, maxTokens));
          const ran = step();
          if (ran !== undefined) seen.push(ran);
        }
        assert.deepEqual(seen, steps);
      });
    }
  });

  describe("endings", () => {
    it("a stop token ends with reason stop and is no token of the output", () => {
      const { scheduler, events, step } = makeScheduler({ slots: 1 });
      scheduler.submit(engineRequest({ id: "a", stopTokenIds: [9] }));
      const choices = [5, 6, 9];
      for (const choice of choices) step(() => choice);
      assert.deepEqual(story(events, "a"), ["admitted", "prefilled", "token 5", "token 6", "finished stop"]);
      assert.equal(step(), undefined);
    });

    it("max_tokens ends with reason length, at the context's end too", () => {
      const { scheduler, events, step } = makeScheduler({ slots: 1, tokensPerSlot: 5 });
      scheduler.submit(engineRequest({ id: "a", prompt: Int32Array.of(1, 2, 3), maxTokens: 2 }));
      step();
      step();
      assert.deepEqual(story(events, "a"), ["admitted", "prefilled", "token 7", "token 7", "finished length"]);
    });

    it("stop and cancel end a request in any state, and free its slot at once", () => {
      for (const [steps, before] of [
        [0, []],
        [1, ["admitted", "prefilled", "token 7"]],
        [2, ["admitted", "prefilled", "token 7", "token 7"]],
      ] as const) {
        for (const [act, last] of [
          ["stop", "finished stop"],
          ["cancel", "cancelled timeout"],
        ] as const) {
          const { scheduler, cache, events, step } = makeScheduler({ slots: 1 });
          scheduler.submit(engineRequest({ id: "a" }));
          for (let i = 0; i < steps; i++) step();
          if (act === "stop") scheduler.stop("a");
          else scheduler.cancel("a", "timeout");
          assert.deepEqual(story(events, "a"), [...before, last]);
          assert.equal(cache.tokensReserved, 0);
          assert.equal(step(), undefined);
          scheduler.cancel("a", "timeout");
          assert.equal(story(events, "a").length, before.length + 1, "nothing after the end");
        }
      }
    });

    it("a cancelled request in the queue lets the next one through", () => {
      const { scheduler, step } = makeScheduler({ slots: 1 });
      for (const id of ["a", "b", "c"]) scheduler.submit(engineRequest({ id, maxTokens: 2 }));
      step();
      scheduler.cancel("b", "client_gone");
      assert.deepEqual([step(), step(), step()], ["decode a", "prefill c", "decode c"]);
    });

    it("a row without a token fails alone", () => {
      const { scheduler, events, step } = makeScheduler({ slots: 2 });
      for (const id of ["a", "b"]) scheduler.submit(engineRequest({ id, maxTokens: 2 }));
      const broken = new VitrineError("inference_failed", "NaN");
      step((id) => (id === "b" ? broken : 7));
      step();
      assert.deepEqual(story(events, "b"), ["admitted", "prefilled", "failed inference_failed"]);
      assert.equal(story(events, "a").at(-1), "finished length");
    });

    it("a failed run ends every request in it once, and no other", () => {
      const { scheduler, cache, events, step, fail } = makeScheduler({ slots: 3, prefillChunk: 3 });
      for (const id of ["a", "b"]) scheduler.submit(ownPrompt(id, 9));
      assert.deepEqual([step(), step(), step()], ["prefill a", "decode a", "prefill b"]);
      scheduler.submit(ownPrompt("c", 1));
      fail();
      assert.equal(story(events, "a").at(-1), "failed inference_failed");
      assert.equal(story(events, "b").at(-1), "failed inference_failed");
      assert.equal(cache.tokensReserved, 0);
      assert.equal(step(), "prefill c");
      assert.deepEqual(story(events, "c"), ["admitted", "prefilled", "token 7", "finished length"]);
    });

    it("a failed prefill of several prompts is tried again, each alone, and fails those that fail again", () => {
      const { scheduler, cache, events, step, fail } = makeScheduler({ slots: 4, prefillChunk: 5 });
      scheduler.submit(ownPrompt("a", 1));
      scheduler.submit({ ...ownPrompt("b", 1), prompt: Int32Array.of(98, 2, 3, 4, 5, 6, 7, 8) });
      scheduler.submit(ownPrompt("c", 1));
      fail();
      assert.deepEqual([story(events, "a"), story(events, "b")], [["admitted"], ["admitted"]]);
      assert.deepEqual([step(), step()], ["prefill a", "prefill b"], "nobody joins them");
      fail();
      assert.deepEqual(story(events, "a"), ["admitted", "prefilled", "token 7", "finished length"]);
      assert.deepEqual(story(events, "b"), ["admitted", "failed inference_failed"]);
      assert.equal(step(), "prefill c");
      assert.equal(story(events, "c").at(-1), "finished length");
      assert.equal(cache.tokensReserved, 0);
    });

    it("a failed prefill ends only its own request", () => {
      const { scheduler, events, step, fail } = makeScheduler({ slots: 2, prefillChunk: 3 });
      for (const id of ["a", "b"]) scheduler.submit(ownPrompt(id, 3));
      step();
      step();
      fail();
      assert.deepEqual(story(events, "b"), ["admitted", "failed inference_failed"]);
      assert.equal(step(), "decode a");
    });
  });

  describe("guards", () => {
    it("a second request with a live id fails, the first goes on", () => {
      const { scheduler, events, step } = makeScheduler({ slots: 1 });
      scheduler.submit(engineRequest({ id: "a", maxTokens: 1 }));
      scheduler.submit(engineRequest({ id: "a", maxTokens: 1 }));
      assert.deepEqual(story(events, "a"), ["failed internal"]);
      step();
      assert.deepEqual(story(events, "a").slice(1), ["admitted", "prefilled", "token 7", "finished length"]);
    });

    it("what can never run fails at once, with the numbers that say why", () => {
      const { scheduler, events } = makeScheduler({ slots: 1, tokensPerSlot: 10 });
      scheduler.submit(engineRequest({ id: "long", prompt: new Int32Array(8), maxTokens: 3 }));
      scheduler.submit(engineRequest({ id: "empty", prompt: new Int32Array() }));
      scheduler.submit(engineRequest({ id: "none", maxTokens: 0 }));
      assert.deepEqual(story(events, "long"), ["failed context_length_exceeded"]);
      assert.deepEqual(story(events, "empty"), ["failed invalid_request"]);
      assert.deepEqual(story(events, "none"), ["failed invalid_request"]);
      const [ended] = events;
      assert.ok(ended?.type === "ended" && ended.outcome.kind === "failed");
      assert.match(
        ended.outcome.error.message,
        /8 tokens and max_tokens is 3, together more than the 10 that the model's context/,
      );
    });

    it("refuses to be called in the middle of a step, or with another's plan", () => {
      const { scheduler } = makeScheduler({ slots: 1 });
      scheduler.submit(engineRequest({ id: "a" }));
      const plan = scheduler.plan();
      assert.ok(plan !== undefined);
      assert.throws(() => scheduler.cancel("a", "drain"), /middle of a step/);
      assert.throws(() => scheduler.plan(), /middle of a step/);
      const step = { number: 1, start: 0, end: 1, batchSize: 1, tokensFed: 3 };
      assert.throws(
        () => scheduler.commit({ ...plan }, step, { choose: () => ({ token: 1 }), score: () => assert.fail() }),
        /not the open one/,
      );
    });
  });

  it("reports queue, reservation and forward passes", () => {
    const { scheduler, events, step } = makeScheduler({ slots: 2, tokensPerSlot: 10, prefillChunk: 3 });
    scheduler.submit({ ...ownPrompt("a", 4), submittedAt: -5, recordSteps: true });
    scheduler.submit({ ...ownPrompt("b", 3), submittedAt: -4 });
    while (step() !== undefined);
    const [a, b] = ["a", "b"].map((id) => events.filter((event) => event.id === id));
    const admitted = b?.[0];
    assert.ok(admitted?.type === "admitted");
    assert.equal(admitted.queue.start, -4);
    assert.equal(admitted.queue.depth, 1);
    assert.equal(admitted.queue.end, admitted.allocation.start);
    const { start, end, ...allocation } = admitted.allocation;
    assert.ok(end > start);
    assert.deepEqual(allocation, {
      tokens: 4,
      bytes: 40,
      reusedTokens: 0,
      evictedTokens: 0,
      waitMs: 0,
      poolBytes: 200,
      poolUtilization: 8 / 20,
      growth: { start: start + 1, end: start + 2, fromBytes: 100, toBytes: 200 },
    });
    const prefilled = a?.[1];
    assert.ok(prefilled?.type === "prefilled");
    assert.deepEqual([prefilled.forward.steps, prefilled.forward.tokens], [1, 3]);
    const ended = a?.at(-1);
    assert.ok(ended?.type === "ended" && ended.forward !== undefined);
    // a decodes alone once, then twice beside b, each step a tick of the clock: half of it is b's.
    const { steps, tokens, meanBatchSize, maxStepMs, deviceSeconds, stepNumbers } = ended.forward;
    assert.deepEqual([steps, tokens, meanBatchSize, maxStepMs], [3, 3, 5 / 3, 1e-3]);
    assert.ok(Math.abs(deviceSeconds - 2e-6) < 1e-15);
    // Steps 1 and 3 were prefills, of a and of b.
    assert.deepEqual(stepNumbers, { first: 2, last: 5, slowest: 2 });
    assert.deepEqual(prefilled.forward.stepNumbers, { first: 1, last: 1, slowest: 1 });
    assert.ok(a?.[0]?.type === "admitted");
    assert.equal(prefilled.forward.start, a[0].allocation.end, "the phases leave no gap");
    assert.equal(ended.forward.start, prefilled.forward.end, "the phases leave no gap");
    assert.equal(ended.forward.end, ended.at, "the phases leave no gap");
    const other = b?.at(-1);
    assert.ok(other?.type === "ended" && other.forward !== undefined && !("stepNumbers" in other.forward));
  });

  describe("long prompts", () => {
    const long = (id: string, length: number, from = 100): EngineRequest =>
      engineRequest({ id, maxTokens: 3, prompt: Int32Array.from({ length }, (_, i) => from + i) });

    it("are fed in chunks with a decode step between any two, so that streams go on", () => {
      const { scheduler, events, step } = makeScheduler({ slots: 3, prefillChunk: 10 });
      scheduler.submit(ownPrompt("a", 9));
      step();
      scheduler.submit(long("b", 25));
      const ran = Array.from({ length: 7 }, () => step());
      assert.deepEqual(ran.slice(0, 3), ["decode a", "prefill b", "decode a"]);
      assert.deepEqual(ran.slice(3), ["prefill b", "decode a", "prefill b", "decode a b"]);
      const prefilled = events.find((event) => event.type === "prefilled" && event.id === "b");
      assert.ok(prefilled?.type === "prefilled");
      assert.deepEqual([prefilled.forward.steps, prefilled.forward.tokens], [3, 25]);
    });

    it("share a chunk with what is left of the one before", () => {
      const { scheduler, step } = makeScheduler({ slots: 3, prefillChunk: 10 });
      for (const [id, from] of Object.entries({ a: 100, b: 200, c: 300 })) scheduler.submit(long(id, 6, from));
      assert.deepEqual([step(), step(), step()], ["prefill a b", "decode a", "prefill b c"]);
    });

    it("are reported to be scored position by position, but for the first token", () => {
      const { scheduler, events, step } = makeScheduler({ slots: 1, prefillChunk: 4 });
      scheduler.submit({ ...long("a", 10), promptLogprobs: true });
      while (step() !== undefined);
      const scored = events.flatMap((event) => (event.type === "prompt_logprobs" ? event.positions : []));
      assert.deepEqual(
        scored.map(({ token }) => token),
        Array.from({ length: 9 }, (_, i) => 101 + i),
      );
      scheduler.submit({ ...long("again", 10), promptLogprobs: true });
      step();
      const admitted = events.find((event) => event.type === "admitted" && event.id === "again");
      assert.ok(
        admitted?.type === "admitted" && admitted.allocation.reusedTokens === 0,
        "cached tokens have no logits",
      );
    });

    it("are scored once, however often they have to start again", () => {
      const { scheduler, events, step } = makeScheduler({ slots: 2, tokensPerSlot: 60, cells: 60, prefillChunk: 4 });
      scheduler.submit(ownPrompt("old", 35));
      let token = 500;
      for (let i = 0; i < 24; i++) step(() => token++);
      scheduler.submit({ ...long("scored", 25), maxTokens: 1, promptLogprobs: true });
      while (step(() => token++) !== undefined);
      assert.ok(story(events, "scored").includes("preempted"));
      const scored = events.flatMap((event) => (event.type === "prompt_logprobs" ? event.positions : []));
      assert.deepEqual(
        scored.map(({ token }) => token),
        Array.from({ length: 24 }, (_, i) => 101 + i),
      );
    });

    it("wait for a request that is computing their beginning, and start with it", () => {
      const { scheduler, events, step } = makeScheduler({ slots: 4 });
      for (const id of ["a", "b", "c"]) scheduler.submit(long(id, 40));
      assert.deepEqual([step(), step(), step()], ["prefill a", "decode a", "prefill b c"]);
      const reused = events.flatMap((event) => (event.type === "admitted" ? [event.allocation.reusedTokens] : []));
      assert.deepEqual(reused, [0, 39, 39]);
    });
  });

  describe("short of cache", () => {
    it("preempts the youngest, which resumes where it was", () => {
      const { scheduler, events, step } = makeScheduler({ slots: 2, tokensPerSlot: 24, cells: 24 });
      for (const id of ["a", "b"]) scheduler.submit(ownPrompt(id, 15));
      let token = 10;
      while (step(() => token++) !== undefined);
      assert.equal(scheduler.preemptions, 1);
      const [a, b] = [story(events, "a"), story(events, "b")];
      assert.ok(!a.includes("preempted") && a.at(-1) === "finished length");
      const at = b.indexOf("preempted");
      assert.deepEqual(b.slice(at, at + 3), ["preempted", "admitted", "prefilled"]);
      assert.deepEqual([tokensOf(events, "b").length, b.at(-1)], [15, "finished length"]);
      const preempted = events.find(({ type }) => type === "preempted");
      assert.ok(preempted?.type === "preempted");
      assert.equal(preempted.forward?.end, preempted.at, "the phases leave no gap");
      // While it waits nobody is let in: it would be the next to go.
      assert.ok(
        events.findIndex((event) => event.type === "ended") < events.findLastIndex(({ type }) => type === "admitted"),
      );
    });

    it("preempts a lower priority before a later arrival", () => {
      const { scheduler, events, step } = makeScheduler({ slots: 2, tokensPerSlot: 24, cells: 24 });
      scheduler.submit({ ...ownPrompt("low", 15), priority: -1 });
      step();
      scheduler.submit(ownPrompt("later", 15));
      while (step() !== undefined);
      assert.ok(story(events, "low").includes("preempted"));
      assert.ok(!story(events, "later").includes("preempted"));
    });

    it("refuses what the memory can never hold", () => {
      const { scheduler, events } = makeScheduler({ slots: 2, tokensPerSlot: 64, cells: 24 });
      scheduler.submit(ownPrompt("a", 22));
      assert.deepEqual(story(events, "a"), ["failed context_length_exceeded"]);
    });
  });

  it("serves higher priorities first, and first come within one", () => {
    const { scheduler, step } = makeScheduler({ slots: 1 });
    for (const [id, priority] of Object.entries({ a: 0, b: -3, c: 10, d: 0 })) {
      scheduler.submit({ ...ownPrompt(id, 1), priority });
    }
    assert.deepEqual([step(), step(), step(), step()], ["prefill c", "prefill a", "prefill d", "prefill b"]);
  });

  describe("guesses", () => {
    /** How many tokens are before the one that follows a row's logits at this position. */
    const tokensBefore = ({ past, tokens, logits = 1 }: RunnerRow, position: number): number =>
      past + tokens.length - logits + position + 1;
    /** A text that repeats itself: 1 2 3 4 5 1 2 3 4 5 … */
    const cycle = (length: number): number => 1 + (length % 5);
    const repeating = (fields: Partial<EngineRequest> = {}): EngineRequest =>
      engineRequest({ id: "a", maxTokens: 30, prompt: Int32Array.of(1, 2, 3, 4, 5, 1, 2), ...fields });

    it("are verified: right ones save steps, and the text is the same", () => {
      const { scheduler, events, step } = makeScheduler({ slots: 2 });
      scheduler.submit(repeating());
      let steps = 0;
      while (step((_, row, position) => cycle(tokensBefore(row, position))) !== undefined) steps++;
      assert.deepEqual(
        tokensOf(events, "a"),
        Array.from({ length: 30 }, (_, i) => cycle(7 + i)),
      );
      assert.ok(steps < 20, `${steps} steps for 30 tokens`);
    });

    it("are dropped after the first wrong one", () => {
      const { scheduler, events, step } = makeScheduler({ slots: 2 });
      scheduler.submit(repeating({ prompt: Int32Array.of(7, 8, 9, 7, 8, 9, 7, 8), maxTokens: 40 }));
      const text = (length: number): number => (length % 7 === 0 ? 60 : 7 + (length % 3));
      while (step((_, row, position) => text(tokensBefore(row, position))) !== undefined);
      assert.deepEqual(
        tokensOf(events, "a"),
        Array.from({ length: 40 }, (_, i) => text(8 + i)),
      );
    });

    it("are made for a lone stream only, and never by a runner that cannot go back", () => {
      for (const [rewinds, others] of [
        [false, 0],
        [true, 1],
      ] as const) {
        const { scheduler, step } = makeScheduler({ slots: 2, rewinds });
        scheduler.submit(repeating());
        for (let i = 0; i < others; i++) scheduler.submit(ownPrompt("other", 40));
        let widest = 0;
        const choose = (_: string, row: RunnerRow, position: number): Choice => {
          if (row.past > 0) widest = Math.max(widest, row.tokens.length);
          return cycle(tokensBefore(row, position));
        };
        for (let i = 0; i < 20; i++) step(choose);
        assert.equal(widest, 1);
      }
    });

    it("stop while they measure no faster", () => {
      const slow = ({ work }: Plan): number => 100 * work.tokens;
      const { scheduler, step } = makeScheduler({ slots: 1, tokensPerSlot: 256, takes: slow });
      scheduler.submit(repeating({ maxTokens: 100 }));
      let guessed = 0;
      while (
        step((_, row, position) => {
          if (row.past > 0 && position === 0 && row.tokens.length > 1) guessed++;
          return cycle(tokensBefore(row, position));
        }) !== undefined
      );
      assert.equal(guessed, 8, "one trial");
    });
  });

  it("holds a target by smaller chunks, and by fewer streams", () => {
    // A token of a prompt takes 100 us, a decode step 1 ms and 1 ms a stream.
    const takes = ({ phase, work }: Plan): number =>
      phase === "prefill" ? 100 * work.tokens : 1000 + 1000 * work.rows;
    const { scheduler, step, events } = makeScheduler({ slots: 16, tokensPerSlot: 512, takes, targetTpotMs: 6 });
    const prompt = (from: number): Int32Array => Int32Array.from({ length: 120 }, (_, i) => from + i);
    let most = 0;
    for (let i = 0; i < 12; i++) {
      scheduler.submit(engineRequest({ id: `r${i}`, prompt: prompt(1000 * i), maxTokens: 60 }));
      for (let steps = 0; steps < 4; steps++) step();
      most = Math.max(most, scheduler.running);
    }
    assert.ok(most >= 4 && most <= 6, `${most} streams at once`);
    while (step() !== undefined);
    assert.equal(events.filter(({ type }) => type === "ended").length, 12);
  });

  it("holds a target when all come at once: those whose prompts are being cached count", () => {
    const takes = ({ phase, work }: Plan): number => (phase === "prefill" ? 100 : 1000 + 1000 * work.rows);
    const { scheduler, step } = makeScheduler({ slots: 16, tokensPerSlot: 512, takes, targetTpotMs: 5 });
    let token = 30;
    for (const [id, maxTokens] of Object.entries({ x: 10, y: 20, z: 200 })) scheduler.submit(ownPrompt(id, maxTokens));
    for (let i = 0; i < 40; i++) step(() => token++);
    for (const id of "abcdefghijkl") scheduler.submit(ownPrompt(id, 200));
    for (let i = 0; i < 10; i++) step(() => token++);
    assert.ok(scheduler.running <= 5, `${scheduler.running} streams at once`);
  });

  it("keeps its invariants and its promises under thousands of random operations", () => {
    for (let seed = 1; seed <= 12; seed++) randomRun(seed);
  });

  /** Submits, cancels, stops, fails and steps at random, then lets everything finish. */
  function randomRun(seed: number): void {
    const random = Random.seeded(seed);
    const below = (limit: number): number => Math.floor(random.nextFloat() * limit);
    const slots = 1 + below(5);
    // With few cells streams have to give theirs up.
    const cells = below(2) === 0 ? slots * 24 : 30 + below(30);
    const settings = { slots, tokensPerSlot: 24, cells, prefillChunk: 1 + below(24), rewinds: below(3) > 0 };
    const { scheduler, cache, events, step, fail } = makeScheduler(settings);
    const requests: EngineRequest[] = [];
    const choose = (): Choice => (below(40) === 0 ? new VitrineError("inference_failed", "NaN") : below(12));
    const act = (): void => {
      const any = `r${below(requests.length + 3)}`;
      const pick = below(20);
      if (pick < 5) {
        const prompt = Int32Array.from({ length: below(18) }, () => below(12));
        const request = engineRequest({
          id: `r${requests.length}`,
          prompt,
          maxTokens: 1 + below(10),
          stopTokenIds: [11],
        });
        requests.push(request);
        scheduler.submit(request);
      } else if (pick === 5) scheduler.cancel(any, "client_gone");
      else if (pick === 6) scheduler.stop(any);
      else if (pick === 7 && scheduler.running + scheduler.waiting > 0) fail();
      else step(choose);
      scheduler.checkInvariants();
    };
    for (let i = 0; i < 1500; i++) act();
    // Nobody starves: a request needs a step for each of its tokens at most, and starts again as often as another ends.
    const live = scheduler.running + scheduler.waiting;
    const bound = 24 * live * (1 + slots);
    let left = 0;
    while (step(choose) !== undefined) assert.ok(++left <= bound, "the queue does not drain");
    assert.equal(cache.tokensReserved, 0);
    assert.ok(requests.length > 200);
    const eventsById = new Map(requests.map(({ id }) => [id, [] as RequestEvent[]]));
    for (const event of events) eventsById.get(event.id)?.push(event);
    for (const { id, maxTokens } of requests) {
      const own = eventsById.get(id) ?? [];
      const words = story(own, id)
        .map((word) => word.replace(/ .*/, ""))
        .join(" ");
      const life =
        /^(admitted (prefilled (token )*)?preempted )*(admitted (prefilled (token )*)?)?(finished|cancelled|failed)$/;
      assert.match(words, life, `${id} of seed ${seed}`);
      assert.ok(tokensOf(own, id).length <= maxTokens);
      assert.ok(!tokensOf(own, id).includes(11));
    }
  }
});
