import assert from "node:assert/strict";
import { KvCache } from "../../../../src/engine/cache/kv-cache.js";
import { Engine } from "../../../../src/engine/engine.js";
import { Scheduler } from "../../../../src/engine/scheduling/scheduler.js";
import { Sequence } from "../../../../src/engine/scheduling/sequence.js";
import { StatsPublisher } from "../../../../src/engine/stats-publisher.js";
import { stepTiming } from "../../../../src/engine/step.js";
import type { AllocationStats, EngineRequest, RequestEvent } from "../../../../src/protocol.js";
import { engineRequest, growthsOf, story } from "../../../support/engine-requests.js";
import { FakeRunner } from "../../../support/fake-runner.js";

const BYTES = 10;
/** What an allocation takes, had or refused, and what a step takes. */
const GROWING = 4_000;
const STEP = 100;

interface Settings {
  readonly slots: number;
  readonly tokens?: number;
  /** Cells that can be had. */
  readonly memory?: number;
}

/** A scheduler whose cache takes its time to grow, and gets no more than there is. */
function open({ slots, tokens = 4096, memory = Number.POSITIVE_INFINITY }: Settings) {
  const events: RequestEvent[] = [];
  let now = 0;
  let steps = 0;
  const clock = (): number => now;
  const reserve = (rows: number, each: number): void => {
    now += GROWING;
    if (rows * each > memory) throw new Error("out of memory");
  };
  const tensors = { rewinds: true, reserve, copy: () => {}, release: () => {} };
  const cache = new KvCache({ rows: slots, tokens, cells: slots * tokens, memory: tensors, clock });
  const emit = (event: RequestEvent): void => void events.push(event);
  const scheduler = new Scheduler({ cache, clock, kvBytesPerToken: BYTES, rewinds: true, prefillChunk: 4096, emit });
  const run = (close: (plan: NonNullable<ReturnType<Scheduler["plan"]>>, start: number) => void): string => {
    const plan = scheduler.plan();
    scheduler.checkInvariants();
    if (plan === undefined) return "nothing";
    const start = now;
    now += STEP;
    close(plan, start);
    scheduler.checkInvariants();
    return [plan.phase, ...plan.sequences.map(({ id }) => id)].join(" ");
  };
  const timing = (plan: Parameters<typeof stepTiming>[0], start: number) => stepTiming(plan, ++steps, start, now);
  const score = (): never => assert.fail("nobody asked");
  const step = (): string =>
    run((plan, start) => scheduler.commit(plan, timing(plan, start), { choose: () => ({ token: 7 }), score }));
  const runOutOfMemory = (): string =>
    run((plan, start) => scheduler.fail(plan, timing(plan, start), { code: "out_of_memory", message: "none" }));
  const allocation = (id: string): AllocationStats => {
    const admitted = events.findLast((event) => event.type === "admitted" && event.id === id);
    assert.ok(admitted?.type === "admitted", `${id} was not admitted`);
    return admitted.allocation;
  };
  const end = (id: string): Extract<RequestEvent, { type: "ended" }> => {
    const ended = events.find((event) => event.type === "ended" && event.id === id);
    assert.ok(ended?.type === "ended", `${id} has not ended`);
    return ended;
  };
  const growthOf = (id: string) => growthsOf(events.filter((event) => event.id === id));
  const stats = () => new StatsPublisher({ scheduler, cache, kvBytesPerToken: BYTES, clock }).take();
  return { scheduler, events, step, runOutOfMemory, allocation, end, growthOf, stats };
}

/** A prompt that no other begins with. */
const request = (id: string, length: number, maxTokens: number): EngineRequest =>
  engineRequest({ id, prompt: new Int32Array(length).fill(id.charCodeAt(0)), maxTokens });

describe("growth of the KV cache", () => {
  it("is told with the admission that made it happen, in bytes and time", () => {
    const { scheduler, step, allocation, events } = open({ slots: 2 });
    scheduler.submit(request("a", 20, 1));
    step();
    scheduler.submit(request("b", 20, 1));
    step();
    const { start, end, growth, poolBytes, waitMs } = allocation("a");
    assert.equal(end - start, GROWING);
    assert.deepEqual(growth, { start, end, fromBytes: 0, toBytes: 256 * BYTES });
    assert.deepEqual([poolBytes, waitMs], [256 * BYTES, 0]);
    assert.equal(allocation("b").growth?.toBytes, 2 * 256 * BYTES, "what a left is kept beside it");
    assert.ok(!events.some(({ type }) => type === "cache_growth"), "it is told once");
    scheduler.submit(request("c", 20, 1));
    step();
    assert.equal(allocation("c").growth, undefined);
  });

  it("during decoding is the request's that outgrew it, and counts for all that waited", () => {
    const { scheduler, step, end, growthOf } = open({ slots: 2 });
    scheduler.submit(request("a", 255, 4));
    scheduler.submit(request("b", 10, 4));
    while (step() !== "nothing");
    const [, grown] = growthOf("a");
    assert.ok(grown !== undefined && growthOf("b").length === 1);
    assert.deepEqual([grown.fromBytes, grown.toBytes], [512 * BYTES, 1024 * BYTES]);
    assert.equal(grown.end - grown.start, GROWING);
    for (const id of ["a", "b"]) assert.equal(end(id).forward?.cacheGrowthMs, GROWING / 1e3, id);
  });

  it("by another's admission counts for a stream that runs, and not for its own prefill", () => {
    const { scheduler, step, end, events } = open({ slots: 2 });
    scheduler.submit(request("a", 10, 4));
    step();
    scheduler.submit(request("b", 10, 2));
    while (step() !== "nothing");
    assert.equal(end("a").forward?.cacheGrowthMs, GROWING / 1e3);
    assert.equal(end("b").forward?.cacheGrowthMs, undefined);
    const prefills = events.flatMap((event) => (event.type === "prefilled" ? [event.forward.cacheGrowthMs] : []));
    assert.deepEqual(prefills, [undefined, undefined], "each one's own is in its allocation");
  });

  it("is counted, with what was given up for it", () => {
    const { scheduler, step, stats } = open({ slots: 2, memory: 300 });
    for (const [id, length] of [
      ["a", 200],
      ["b", 220],
    ] as const) {
      scheduler.submit(request(id, length, 1));
      step();
    }
    const { kvBytesAllocated, kvBytesTotal, kvGrowths, kvRefusals, kvGrowthSeconds, kvTokensEvicted } = stats() ?? {};
    assert.deepEqual([kvBytesAllocated, kvBytesTotal], [256 * BYTES, 2 * 4096 * BYTES]);
    assert.deepEqual([kvGrowths, kvRefusals, kvTokensEvicted], [1, 3, 200]);
    assert.equal(kvGrowthSeconds, (4 * GROWING) / 1e6);
  });

  for (const length of [200, 201, 202, 203, 204]) {
    it(`does not happen for guesses, which nobody would wait for, wherever they begin: ${length}`, async () => {
      const runner = new FakeRunner({ contextLength: 1024, memory: 256, vocabSize: 64 });
      const ends: string[] = [];
      const engine = new Engine({
        runner,
        maxSequences: 1,
        clock: () => 0,
        turn: () => Promise.resolve(),
        emit: (events) => {
          ends.push(...story(events, "a").filter((word) => /^(finished|failed)/.test(word)));
          if (ends.length > 0) engine.dispatch({ type: "shutdown" });
        },
      });
      // It counts on, and would go on for 100 tokens more; it stops at the last for which there is memory.
      const prompt = Int32Array.from({ length }, (_, i) => i % 64);
      const fields = { prompt, maxTokens: 156, stopTokenIds: [255 % 64] };
      engine.dispatch({ type: "submit", request: engineRequest({ id: "a", ...fields }) });
      await engine.run();
      assert.deepEqual(ends, ["finished stop"]);
      assert.ok(
        runner.runs.flat().some(({ past, tokens }) => past > 245 && tokens.length > 1),
        "nothing was guessed",
      );
    });
  }

  it("counts anew for a request that has to wait again", () => {
    const sequence = new Sequence(request("a", 3, 3), 0, 0);
    sequence.lackingSince = 5;
    sequence.evicted = 7;
    sequence.admit(0, 0, 6);
    sequence.preempt(9, 0);
    assert.deepEqual([sequence.lackingSince, sequence.evicted], [undefined, 0]);
  });

  describe("that is refused", () => {
    it("makes a request wait, and says for how long", () => {
      const { scheduler, step, allocation, growthOf, events } = open({ slots: 2, memory: 300 });
      scheduler.submit(request("a", 200, 3));
      scheduler.submit(request("b", 100, 1));
      assert.equal(step(), "prefill a");
      const [refused] = growthOf("b");
      const bytes = 512 * BYTES;
      assert.deepEqual(refused?.refused, { bytes, fallback: "wait" });
      assert.equal(refused?.fromBytes, refused?.toBytes);
      for (let i = 0; i < 2; i++) assert.equal(step(), "decode a");
      assert.equal(growthsOf(events).length, 2, "it is not asked for again");
      step();
      const { start, waitMs, growth } = allocation("b");
      assert.equal(waitMs, (start - (refused?.start ?? 0)) / 1e3);
      assert.equal(growth?.refused?.fallback, "eviction", "but when nobody holds any, and then it has what a had");
    });

    it("gets what it needs, and no more, where there is less than would be roomy", () => {
      const { scheduler, step, allocation } = open({ slots: 1, memory: 400 });
      scheduler.submit(request("a", 300, 1));
      step();
      const { growth, poolBytes } = allocation("a");
      assert.deepEqual(growth?.refused, { bytes: 512 * BYTES, fallback: "less" });
      assert.equal(poolBytes, 301 * BYTES);
      assert.equal((growth?.end ?? 0) - (growth?.start ?? 0), 3 * GROWING, "of all three attempts");
    });

    it("divides otherwise what there is, and takes no less for it", () => {
      const { scheduler, step, allocation, end } = open({ slots: 2, memory: 256 });
      for (const id of ["a", "b"]) scheduler.submit(request(id, 10, 100));
      assert.equal(step(), "prefill a b");
      const { growth, poolBytes } = allocation("b");
      assert.deepEqual(growth?.refused, { bytes: 512 * BYTES, fallback: "less" });
      assert.equal(poolBytes, 256 * BYTES);
      while (step() !== "nothing");
      assert.equal(end("b").forward?.cacheGrowthMs, undefined);
    });

    it("gives up what was kept", () => {
      const { scheduler, step, allocation } = open({ slots: 2, memory: 300 });
      scheduler.submit(request("a", 200, 1));
      step();
      scheduler.submit(request("b", 220, 1));
      step();
      const { growth, evictedTokens } = allocation("b");
      assert.deepEqual(growth?.refused, { bytes: 512 * BYTES, fallback: "eviction" });
      assert.equal(evictedTokens, 200);
    });

    it("preempts the youngest, which says how long it waited for room", () => {
      const { scheduler, step, allocation, growthOf, events } = open({ slots: 2, memory: 512 });
      scheduler.submit(request("a", 254, 5));
      scheduler.submit(request("b", 10, 5));
      while (step() !== "nothing");
      const refused = growthOf("a").find((growth) => growth.refused !== undefined);
      assert.equal(refused?.refused?.fallback, "preemption");
      const preempted = events.find(({ type }) => type === "preempted");
      assert.ok(preempted?.type === "preempted" && preempted.id === "b");
      const { start, waitMs } = allocation("b");
      assert.ok(waitMs > 0 && waitMs <= (start - preempted.at) / 1e3);
      assert.deepEqual([story(events, "a").at(-1), story(events, "b").at(-1)], ["finished length", "finished length"]);
    });

    it("fails the only request there is, with the numbers", () => {
      const { scheduler, step, end, growthOf } = open({ slots: 1, memory: 256 });
      scheduler.submit(request("a", 200, 100));
      while (step() !== "nothing");
      assert.equal(growthOf("a").at(-1)?.refused?.fallback, "failure");
      const { outcome } = end("a");
      assert.ok(outcome.kind === "failed" && outcome.error.code === "out_of_memory");
      assert.match(outcome.error.message, /257 tokens: it takes 0\.0 MiB, and 0\.0 MiB could be had\. Send a shorter/);
    });

    it("is asked for anew once nobody holds any", () => {
      const { scheduler, step, growthOf } = open({ slots: 1, memory: 256 });
      for (const id of ["a", "b"]) {
        scheduler.submit(request(id, 300, 1));
        step();
        assert.equal(growthOf(id).length, 1, id);
      }
    });
  });

  describe("the wait for room", () => {
    it("is none where all slots are taken", () => {
      const { scheduler, step, allocation } = open({ slots: 1 });
      for (const id of ["a", "b"]) scheduler.submit(request(id, 10, 5));
      while (step() !== "nothing");
      assert.equal(allocation("b").waitMs, 0);
    });

    it("is told of a request that ends in it", () => {
      const { scheduler, step, end } = open({ slots: 2, memory: 256 });
      for (const id of ["a", "b"]) scheduler.submit(request(id, 200, 50));
      for (let i = 0; i < 5; i++) step();
      scheduler.cancel("b", "timeout");
      assert.equal(end("b").waitMs, (3 * GROWING + 5 * STEP) / 1e3);
    });
  });

  describe("a decode step that has no memory", () => {
    it("is tried again with half its streams, and with one more whenever one ends", () => {
      const { scheduler, step, runOutOfMemory, events } = open({ slots: 4 });
      for (const [index, id] of ["a", "b", "c", "d"].entries()) scheduler.submit(request(id, 10, 3 + 2 * index));
      assert.equal(step(), "prefill a b c d");
      assert.equal(runOutOfMemory(), "decode a b c d");
      for (const id of ["a", "b", "c", "d"]) assert.equal(story(events, id).at(-1), "preempted");
      const ran: string[] = [];
      for (let last = step(); last !== "nothing"; last = step()) if (last !== ran.at(-1)) ran.push(last);
      assert.deepEqual(ran, ["prefill a b", "decode a b", "prefill c d", "decode b c d", "decode c d", "decode d"]);
      for (const id of ["a", "b", "c", "d"]) assert.equal(story(events, id).at(-1), "finished length");
    });

    it("fails one that has not enough for itself, and only that", () => {
      const { scheduler, step, runOutOfMemory, events } = open({ slots: 2 });
      for (const id of ["a", "b"]) scheduler.submit(request(id, 10, 3));
      step();
      runOutOfMemory();
      assert.equal(step(), "prefill a");
      assert.equal(runOutOfMemory(), "decode a");
      assert.equal(story(events, "a").at(-1), "failed out_of_memory");
      while (step() !== "nothing");
      assert.equal(story(events, "b").at(-1), "finished length");
    });
  });
});
