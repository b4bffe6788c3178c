import assert from "node:assert/strict";
import { KvCache } from "../../../src/engine/kv-cache.js";
import { Random } from "../../../src/engine/random.js";
import { type Plan, Scheduler } from "../../../src/engine/scheduler.js";
import { VitrineError } from "../../../src/errors.js";
import type { EngineRequest, RequestEvent } from "../../../src/protocol.js";
import { engineRequest, story, tokensOf } from "../../support/engine-requests.js";

type Choice = number | VitrineError;

/** A scheduler with its cache, its events and a clock that advances by one at each reading. */
function makeScheduler(slots: number, tokensPerSlot = 64) {
  const events: RequestEvent[] = [];
  const released: number[] = [];
  let now = 0;
  const clock = (): number => now++;
  const cache = new KvCache(slots, tokensPerSlot);
  const scheduler = new Scheduler({
    cache,
    kvBytesPerToken: 10,
    clock,
    emit: (event) => events.push(event),
    onRelease: (slot) => released.push(slot),
  });
  const timing = ({ rows }: Plan) => ({
    start: clock(),
    end: clock(),
    batchSize: rows.length,
    tokensFed: rows.reduce((sum, { tokens }) => sum + tokens.length, 0),
  });
  /** Runs one step; every row's choice is `choose`'s. Tells what ran, e.g. `decode a b`. */
  const step = (choose: (id: string) => Choice = () => 7): string | undefined => {
    const plan = scheduler.plan();
    if (plan === undefined) return undefined;
    scheduler.checkInvariants();
    const ids = plan.sequences.map(({ id }) => id);
    scheduler.commit(plan, timing(plan), ids.map(choose));
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

describe("Scheduler", () => {
  describe("fairness", () => {
    interface Case {
      readonly name: string;
      readonly slots: number;
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
        steps: [
          "prefill a",
          "decode a",
          "prefill b",
          "decode a b",
          "prefill c",
          "decode a b c",
          "decode a",
          "decode a",
        ],
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
        name: "a stream waits for one prompt at most between two tokens, however many arrive",
        slots: 8,
        arrivals: {
          0: [["a", 5]],
          1: [
            ["b", 1],
            ["c", 1],
            ["d", 1],
          ],
        },
        steps: ["prefill a", "decode a", "prefill b", "decode a", "prefill c", "decode a", "prefill d", "decode a"],
      },
    ];
    for (const { name, slots, arrivals, steps } of cases) {
      it(name, () => {
        const { scheduler, step } = makeScheduler(slots);
        const seen: string[] = [];
        for (let number = 0; number <= steps.length; number++) {
          for (const [id, maxTokens] of arrivals[number] ?? []) scheduler.submit(engineRequest({ id, maxTokens }));
          const ran = step();
          if (ran !== undefined) seen.push(ran);
        }
        assert.deepEqual(seen, steps);
      });
    }
  });

  describe("endings", () => {
    it("a stop token ends with reason stop and is no token of the output", () => {
      const { scheduler, events, step } = makeScheduler(1);
      scheduler.submit(engineRequest({ id: "a", stopTokenIds: [9] }));
      const choices = [5, 6, 9];
      for (const choice of choices) step(() => choice);
      assert.deepEqual(story(events, "a"), ["admitted", "prefilled", "token 5", "token 6", "finished stop"]);
      assert.equal(step(), undefined);
    });

    it("max_tokens ends with reason length, at the context's end too", () => {
      const { scheduler, events, step } = makeScheduler(1, 5);
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
          const { scheduler, cache, events, released, step } = makeScheduler(1);
          scheduler.submit(engineRequest({ id: "a" }));
          for (let i = 0; i < steps; i++) step();
          if (act === "stop") scheduler.stop("a");
          else scheduler.cancel("a", "timeout");
          assert.deepEqual(story(events, "a"), [...before, last]);
          assert.equal(cache.tokensReserved, 0);
          assert.deepEqual(released, steps === 0 ? [] : [0]);
          assert.equal(step(), undefined);
          scheduler.cancel("a", "timeout");
          assert.equal(story(events, "a").length, before.length + 1, "nothing after the end");
        }
      }
    });

    it("a cancelled request in the queue lets the next one through", () => {
      const { scheduler, step } = makeScheduler(1);
      for (const id of ["a", "b", "c"]) scheduler.submit(engineRequest({ id, maxTokens: 2 }));
      step();
      scheduler.cancel("b", "client_gone");
      assert.deepEqual([step(), step(), step()], ["decode a", "prefill c", "decode c"]);
    });

    it("a row without a token fails alone", () => {
      const { scheduler, events, step } = makeScheduler(2);
      for (const id of ["a", "b"]) scheduler.submit(engineRequest({ id, maxTokens: 2 }));
      const broken = new VitrineError("inference_failed", "NaN");
      step();
      step();
      step((id) => (id === "b" ? broken : 7));
      assert.deepEqual(story(events, "b"), ["admitted", "prefilled", "failed inference_failed"]);
      assert.equal(story(events, "a").at(-1), "finished length");
    });

    it("a failed run ends every request in it once, and no other", () => {
      const { scheduler, cache, events, step, fail } = makeScheduler(3);
      for (const id of ["a", "b"]) scheduler.submit(engineRequest({ id, maxTokens: 9 }));
      assert.deepEqual([step(), step(), step()], ["prefill a", "decode a", "prefill b"]);
      scheduler.submit(engineRequest({ id: "c", maxTokens: 1 }));
      fail();
      assert.equal(story(events, "a").at(-1), "failed inference_failed");
      assert.equal(story(events, "b").at(-1), "failed inference_failed");
      assert.equal(cache.tokensReserved, 0);
      assert.equal(step(), "prefill c");
      assert.deepEqual(story(events, "c"), ["admitted", "prefilled", "token 7", "finished length"]);
    });

    it("a failed prefill ends only its own request", () => {
      const { scheduler, events, step, fail } = makeScheduler(2);
      for (const id of ["a", "b"]) scheduler.submit(engineRequest({ id, maxTokens: 3 }));
      step();
      step();
      fail();
      assert.deepEqual(story(events, "b"), ["admitted", "failed inference_failed"]);
      assert.equal(step(), "decode a");
    });
  });

  describe("guards", () => {
    it("a second request with a live id fails, the first goes on", () => {
      const { scheduler, events, step } = makeScheduler(1);
      scheduler.submit(engineRequest({ id: "a", maxTokens: 1 }));
      scheduler.submit(engineRequest({ id: "a", maxTokens: 1 }));
      assert.deepEqual(story(events, "a"), ["failed internal"]);
      step();
      assert.deepEqual(story(events, "a").slice(1), ["admitted", "prefilled", "token 7", "finished length"]);
    });

    it("what can never run fails at once, with the numbers that say why", () => {
      const { scheduler, events } = makeScheduler(1, 10);
      scheduler.submit(engineRequest({ id: "long", prompt: new Int32Array(8), maxTokens: 3 }));
      scheduler.submit(engineRequest({ id: "empty", prompt: new Int32Array() }));
      scheduler.submit(engineRequest({ id: "none", maxTokens: 0 }));
      assert.deepEqual(story(events, "long"), ["failed context_length_exceeded"]);
      assert.deepEqual(story(events, "empty"), ["failed invalid_request"]);
      assert.deepEqual(story(events, "none"), ["failed invalid_request"]);
      const [ended] = events;
      assert.ok(ended?.type === "ended" && ended.outcome.kind === "failed");
      assert.match(ended.outcome.error.message, /8 tokens and max_tokens is 3.*context of 10/);
    });

    it("refuses to be called in the middle of a step, or with another's plan", () => {
      const { scheduler } = makeScheduler(1);
      scheduler.submit(engineRequest({ id: "a" }));
      const plan = scheduler.plan();
      assert.ok(plan !== undefined);
      assert.throws(() => scheduler.cancel("a", "drain"), /middle of a step/);
      assert.throws(() => scheduler.plan(), /middle of a step/);
      const step = { start: 0, end: 1, batchSize: 1, tokensFed: 3 };
      assert.throws(() => scheduler.commit({ ...plan }, step, [1]), /not the open one/);
    });
  });

  it("reports queue, reservation and forward passes", () => {
    const { scheduler, events, step } = makeScheduler(2, 10);
    scheduler.submit(engineRequest({ id: "a", maxTokens: 4, submittedAt: -5, recordSteps: true }));
    scheduler.submit(engineRequest({ id: "b", maxTokens: 3, submittedAt: -4 }));
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
      tokens: 6,
      bytes: 60,
      reusedTokens: 0,
      evictedTokens: 0,
      poolUtilization: 13 / 20,
    });
    const prefilled = a?.[1];
    assert.ok(prefilled?.type === "prefilled");
    assert.deepEqual([prefilled.forward.steps, prefilled.forward.tokens], [1, 3]);
    const ended = a?.at(-1);
    assert.ok(ended?.type === "ended" && ended.decode !== undefined);
    // a decodes alone once, then twice beside b, each step a tick of the clock: half of it is b's.
    const { steps, tokens, meanBatchSize, maxStepMs, deviceSeconds, passes } = ended.decode;
    assert.deepEqual([steps, tokens, meanBatchSize, maxStepMs], [3, 3, 5 / 3, 1e-3]);
    assert.ok(Math.abs(deviceSeconds - 2e-6) < 1e-15);
    assert.deepEqual(
      passes?.map(({ batchSize }) => batchSize),
      [1, 2, 2],
    );
    assert.ok(a?.[0]?.type === "admitted");
    assert.equal(prefilled.forward.start, a[0].allocation.end, "the phases leave no gap");
    assert.equal(ended.decode.start, prefilled.forward.end, "the phases leave no gap");
    assert.equal(passes?.at(-1)?.end, ended.decode.end);
    const other = b?.at(-1);
    assert.ok(other?.type === "ended" && other.decode?.passes === undefined);
  });

  it("keeps its invariants and its promises under thousands of random operations", () => {
    for (let seed = 1; seed <= 12; seed++) randomRun(seed);
  });

  /** Submits, cancels, stops, fails and steps at random, then lets everything finish. */
  function randomRun(seed: number): void {
    const random = Random.seeded(seed);
    const below = (limit: number): number => Math.floor(random.nextFloat() * limit);
    const { scheduler, cache, events, step, fail } = makeScheduler(1 + below(5), 24);
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
    // Nobody starves: each live request needs at most a prefill and ten decode steps, none of them wasted.
    const bound = 11 * (scheduler.running + scheduler.waiting);
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
      assert.match(words, /^(admitted (prefilled (token )*)?)?(finished|cancelled|failed)$/, `${id} of seed ${seed}`);
      assert.ok(tokensOf(own, id).length <= maxTokens);
      assert.ok(!tokensOf(own, id).includes(11));
    }
  }
});
