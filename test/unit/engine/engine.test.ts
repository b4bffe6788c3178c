import assert from "node:assert/strict";
import { Engine, type EngineOptions } from "../../../src/engine/engine.js";
import type { TokenConstraint } from "../../../src/engine/sampling/constraint.js";
import { Random } from "../../../src/engine/sampling/random.js";
import { VitrineError } from "../../../src/errors.js";
import type { EngineEvent, EngineRequest, EngineStats } from "../../../src/protocol.js";
import { engineRequest, GREEDY, isRequestEvent, story, tokensOf } from "../../support/engine-requests.js";
import { FakeRunner, type FakeRunnerOptions, hashedLogits } from "../../support/fake-runner.js";

type EngineLimits = Pick<EngineOptions, "maxSequences" | "kvTokens" | "prefillChunk" | "constraints">;

interface RunningEngine {
  readonly engine: Engine;
  readonly runner: FakeRunner;
  /** What `run` gave. */
  readonly running: Promise<void>;
  readonly events: EngineEvent[];
  /** Sizes of the messages so far. */
  readonly messages: number[];
  /** Moves the clock. */
  readonly pass: (micros: number) => void;
  submit(request: EngineRequest): void;
  /** Settles when every request submitted so far has ended. */
  ended(): Promise<void>;
  shutdown(): Promise<void>;
}

/** An engine over a fake runner, checked after every message it sends. */
function startEngine(options: FakeRunnerOptions & Partial<EngineLimits> = {}): RunningEngine {
  const runner = new FakeRunner(options);
  const events: EngineEvent[] = [];
  const messages: number[] = [];
  const open = new Set<string>();
  let now = 0;
  let settle: (() => void) | undefined;
  const engine = new Engine({
    runner,
    maxSequences: options.maxSequences ?? 4,
    ...(options.kvTokens === undefined ? {} : { kvTokens: options.kvTokens }),
    ...(options.constraints === undefined ? {} : { constraints: options.constraints }),
    ...(options.prefillChunk === undefined ? {} : { prefillChunk: options.prefillChunk }),
    clock: () => now,
    turn: () => Promise.resolve(),
    emit: (batch) => {
      assert.ok(batch.length > 0, "an empty message");
      messages.push(batch.length);
      events.push(...batch);
      engine.checkInvariants();
      for (const event of batch) {
        if (event.type === "ended") assert.ok(open.delete(event.id), `${event.id} ended twice`);
      }
      if (open.size === 0) settle?.();
    },
  });
  const running = engine.run();
  return {
    engine,
    runner,
    running,
    events,
    messages,
    pass: (micros) => {
      now += micros;
    },
    submit: (request) => {
      open.add(request.id);
      engine.dispatch({ type: "submit", request });
    },
    ended: () =>
      new Promise((resolve) => {
        settle = resolve;
        if (open.size === 0) resolve();
      }),
    shutdown: () => {
      engine.dispatch({ type: "shutdown" });
      return running;
    },
  };
}

/** A promise to be resolved by hand. */
function gate(): { readonly opened: Promise<void>; open(): void } {
  let open = (): void => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open: () => open() };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("Engine", () => {
  it("runs a request from admission to its end, events in order, its slot kept for the next that begins alike", async () => {
    const { runner, events, submit, ended } = startEngine();
    submit(engineRequest({ id: "a", prompt: Int32Array.of(1, 2, 3), maxTokens: 3 }));
    await ended();
    assert.deepEqual(story(events, "a"), ["admitted", "prefilled", "token 4", "token 5", "token 6", "finished length"]);
    assert.deepEqual(runner.runs, [
      [{ slot: 0, tokens: [1, 2, 3], past: 0 }],
      [{ slot: 0, tokens: [4], past: 3 }],
      [{ slot: 0, tokens: [5], past: 4 }],
    ]);
    submit(engineRequest({ id: "b", prompt: Int32Array.of(1, 2, 3, 4, 9), maxTokens: 1 }));
    await ended();
    assert.deepEqual(runner.runs.at(-1), [{ slot: 0, tokens: [9], past: 4 }]);
  });

  it("tells of the steps of requests that ask for it, each before what it brought, and of no others", async () => {
    const { events, submit, ended } = startEngine({ prefillChunk: 4 });
    await turn();
    submit(engineRequest({ id: "a", prompt: Int32Array.of(1, 2, 3), maxTokens: 4, recordSteps: true }));
    submit(engineRequest({ id: "b", prompt: Int32Array.of(8, 9), maxTokens: 6 }));
    await ended();
    const told = events.flatMap((event) => {
      if (event.type === "token" && event.id === "a") return ["token"];
      if (event.type !== "step") return [];
      const { number, phase, batchSize, tokens, contextTokens, requests } = event.step;
      return [`${number} ${phase}: ${batchSize} rows, ${tokens} tokens, context ${contextTokens}, ${requests}`];
    });
    // b's prompt is half in step 1 and half in step 3; its last steps have no a.
    assert.deepEqual(told, [
      "1 prefill: 2 rows, 4 tokens, context 4, a",
      "token",
      "2 decode: 1 rows, 1 tokens, context 4, a",
      "token",
      "4 decode: 2 rows, 2 tokens, context 8, a",
      "token",
      "5 decode: 2 rows, 2 tokens, context 10, a",
      "token",
    ]);
    const [last] = events.filter((event) => event.type === "ended" && event.id === "a");
    assert.ok(last?.type === "ended");
    assert.deepEqual(last.forward?.stepNumbers, { first: 2, last: 5, slowest: 2 });
  });

  it("tells of a step that failed", async () => {
    const { events, submit, ended } = startEngine({
      beforeRun: () => {
        throw new VitrineError("inference_failed", "out of memory");
      },
    });
    await turn();
    submit(engineRequest({ id: "a", recordSteps: true }));
    await ended();
    const [told] = events.filter(({ type }) => type === "step");
    assert.ok(told?.type === "step");
    assert.deepEqual(told.step.error?.code, "inference_failed");
  });

  it("sends one message a step, and an admission before its prefill is done", async () => {
    const hold = gate();
    const { events, messages, submit, ended } = startEngine({
      beforeRun: (run) => (run === 1 ? hold.opened : undefined),
    });
    await turn();
    const before = messages.length;
    submit(engineRequest({ id: "a", maxTokens: 3 }));
    submit(engineRequest({ id: "b", maxTokens: 1 }));
    await turn();
    assert.deepEqual(story(events, "a"), ["admitted"]);
    hold.open();
    await ended();
    // Admissions; then prefill a b, decode a, decode a.
    assert.equal(messages.length - before, 4);
  });

  it("gives the same text alone and among others, greedy or seeded", async () => {
    const random = Random.seeded(4);
    const requests = Array.from({ length: 24 }, (_, i) =>
      engineRequest({
        id: `r${i}`,
        prompt: Int32Array.from({ length: 1 + (i % 7) }, () => Math.floor(random.nextFloat() * 32)),
        maxTokens: 3 + (i % 20),
        sampling: {
          ...GREEDY,
          seed: i,
          temperature: i % 3 === 0 ? 0 : 1.2,
          topP: i % 2 === 0 ? 0.9 : 1,
          repetitionPenalty: i % 4 === 0 ? 1.2 : 1,
          frequencyPenalty: i % 5 === 0 ? 0.5 : 0,
        },
      }),
    );
    const together = startEngine({ logits: hashedLogits });
    for (const request of requests) together.submit(request);
    await together.ended();
    const texts = new Set<string>();
    for (const request of requests) {
      const alone = startEngine({ logits: hashedLogits });
      alone.submit(request);
      await alone.ended();
      const text = tokensOf(alone.events, request.id);
      assert.equal(text.length, request.maxTokens);
      assert.deepEqual(tokensOf(together.events, request.id), text, request.id);
      texts.add(text.join());
    }
    assert.ok(
      together.runner.runs.some((rows) => rows.length === 4),
      "they did run together",
    );
    assert.equal(texts.size, requests.length, "the texts tell the requests apart");
  });

  it("another seed gives another text", async () => {
    const { events, submit, ended } = startEngine({ logits: hashedLogits });
    for (const seed of [1, 2]) {
      submit(engineRequest({ id: `s${seed}`, maxTokens: 20, sampling: { ...GREEDY, temperature: 1.5, seed } }));
    }
    await ended();
    assert.notDeepEqual(tokensOf(events, "s1"), tokensOf(events, "s2"));
  });

  for (const [failing, phase, failures] of [
    [3, "prefill", ["c"]],
    [4, "decode", ["a", "b"]],
  ] as const) {
    it(`ends what was in a ${phase} run that failed, and goes on with the rest`, async () => {
      const { runner, events, submit, ended } = startEngine({
        prefillChunk: 6,
        beforeRun: (run) => {
          if (run === failing) throw new Error("the provider ran out of memory");
        },
      });
      for (const id of ["a", "b", "c"]) submit(engineRequest({ id, maxTokens: id === "c" ? 1 : 4 }));
      await ended();
      const failed = ["a", "b", "c"].filter((id) => story(events, id).at(-1) === "failed inference_failed");
      assert.deepEqual(failed, failures);
      for (const id of ["a", "b", "c"].filter((id) => !failed.includes(id))) {
        assert.equal(story(events, id).at(-1), "finished length");
      }
      assert.equal(runner.slotsHeld.length, 3 - failed.length, "what a failed run wrote is nobody's");
      const end = events.find((event) => event.type === "ended" && event.outcome.kind === "failed");
      assert.ok(end?.type === "ended" && end.outcome.kind === "failed");
      assert.equal(end.outcome.error.message, "the provider ran out of memory");
    });
  }

  it("tries prompts whose run failed again one by one", async () => {
    const { events, submit, ended, runner } = startEngine({
      prefillChunk: 6,
      beforeRun: (run) => {
        if (run === 1) throw new Error("the provider ran out of memory");
      },
    });
    for (const id of ["a", "b"]) submit(engineRequest({ id, prompt: Int32Array.of(id.charCodeAt(0) % 32, 2, 3) }));
    await ended();
    assert.deepEqual(
      runner.runs.slice(0, 4).map((rows) => rows.map(({ tokens }) => tokens.length)),
      [[3, 3], [3], [1], [3]],
    );
    for (const id of ["a", "b"]) assert.deepEqual(tokensOf(events, id), [4, 5, 6, 7]);
  });

  for (const [when, run, ends] of [
    ["a step", 3, { a: "failed engine_lost", b: "failed engine_lost" }],
    ["a shared prompt, which nobody tries again", 1, { a: "admitted", b: "admitted" }],
  ] as const) {
    it(`ends with a runner that is lost in ${when}`, async () => {
      const lost = new VitrineError("engine_lost", "The GPU is lost.");
      const { running, runner, events, submit } = startEngine({
        beforeRun: (number) => {
          if (number === run) throw lost;
        },
      });
      for (const id of ["a", "b"]) submit(engineRequest({ id, maxTokens: 4 }));
      await assert.rejects(running, lost);
      assert.equal(runner.runs.length, run);
      for (const id of ["a", "b"] as const) assert.equal(story(events, id).at(-1), ends[id]);
    });
  }

  it("keeps a runner's own error code", async () => {
    const { events, submit, ended } = startEngine({
      beforeRun: () => {
        throw new VitrineError("internal", "no such slot");
      },
    });
    submit(engineRequest({ id: "a" }));
    await ended();
    assert.deepEqual(story(events, "a"), ["admitted", "failed internal"]);
  });

  it("fails a request whose logits are broken, and only that", async () => {
    const { events, submit, ended } = startEngine({
      logits: (history, vocabSize) => new Float32Array(vocabSize).fill(history.includes(9) ? Number.NaN : 1),
    });
    submit(engineRequest({ id: "bad", prompt: Int32Array.of(9) }));
    submit(engineRequest({ id: "good", prompt: Int32Array.of(8) }));
    await ended();
    assert.deepEqual(story(events, "bad"), ["admitted", "prefilled", "failed inference_failed"]);
    assert.equal(story(events, "good").at(-1), "finished length");
  });

  it("frees a request cancelled in its prefill, in decode or in the queue within one step", async () => {
    const gates = [gate(), gate(), gate()];
    const { engine, runner, events, submit, ended } = startEngine({
      maxSequences: 1,
      beforeRun: (run) => gates[run - 1]?.opened,
    });
    for (const id of ["prefilling", "waiting", "decoding"]) submit(engineRequest({ id, maxTokens: 40 }));
    await turn();
    engine.dispatch({ type: "cancel", id: "prefilling", cause: "client_gone" });
    engine.dispatch({ type: "cancel", id: "waiting", cause: "timeout" });
    gates[0]?.open();
    await turn();
    assert.deepEqual(story(events, "prefilling"), ["admitted", "prefilled", "token 4", "cancelled client_gone"]);
    assert.deepEqual(story(events, "waiting"), ["cancelled timeout"]);
    assert.equal(runner.runs.length, 2);
    gates[1]?.open();
    await turn();
    engine.dispatch({ type: "cancel", id: "decoding", cause: "drain" });
    gates[2]?.open();
    await ended();
    assert.deepEqual(story(events, "decoding"), ["admitted", "prefilled", "token 4", "token 5", "cancelled drain"]);
    await turn();
    assert.equal(runner.runs.length, 3, "no run after the cancellation");
  });

  it("sleeps while there is nothing to do, and wakes for a command", async () => {
    let turns = 0;
    const runner = new FakeRunner();
    const events: EngineEvent[] = [];
    const engine = new Engine({
      runner,
      maxSequences: 1,
      clock: () => 0,
      turn: async () => {
        turns++;
      },
      emit: (batch) => events.push(...batch),
    });
    const running = engine.run();
    for (let i = 0; i < 50; i++) await turn();
    assert.equal(turns, 0);
    engine.dispatch({ type: "submit", request: engineRequest({ id: "a", maxTokens: 2 }) });
    for (let i = 0; i < 50; i++) await turn();
    assert.equal(turns, 2);
    assert.equal(story(events, "a").at(-1), "finished length");
    engine.dispatch({ type: "shutdown" });
    await running;
  });

  it("cancels what is left on shutdown, and fails what comes after", async () => {
    const { engine, events, submit, shutdown, runner } = startEngine({ maxSequences: 1 });
    submit(engineRequest({ id: "running", maxTokens: 50 }));
    submit(engineRequest({ id: "waiting" }));
    await shutdown();
    assert.equal(story(events, "running").at(-1), "cancelled drain");
    assert.equal(story(events, "waiting").at(-1), "cancelled drain");
    submit(engineRequest({ id: "late" }));
    assert.deepEqual(story(events, "late"), ["failed draining"]);
    engine.dispatch({ type: "cancel", id: "late", cause: "timeout" });
    assert.equal(runner.disposed, false, "the runner is its owner's to dispose");
  });

  describe("with a grammar", () => {
    /** Allows even tokens; five of them are all. */
    const even = (): TokenConstraint & { left: number } => ({
      left: 5,
      mask: (logits) => {
        for (let id = 1; id < logits.length; id += 2) logits[id] = Number.NEGATIVE_INFINITY;
      },
      accept(token) {
        assert.equal(token % 2, 0);
        this.left--;
      },
      get complete() {
        return this.left === 0;
      },
    });
    const held = (id: string, fields: Partial<EngineRequest> = {}): EngineRequest =>
      engineRequest({ id, maxTokens: 9, grammar: { kind: "json_object" }, ...fields });

    it("holds the output to it, and ends where nothing may follow", async () => {
      const { events, submit, ended } = startEngine({
        logits: hashedLogits,
        constraints: { compile: async () => even() },
      });
      submit(held("a"));
      submit(engineRequest({ id: "free", maxTokens: 9 }));
      await ended();
      assert.equal(tokensOf(events, "a").length, 5);
      assert.equal(story(events, "a").at(-1), "finished stop");
      assert.ok(tokensOf(events, "free").some((token) => token % 2 === 1));
      const admitted = events.find((event) => event.type === "admitted" && event.id === "a");
      assert.ok(admitted?.type === "admitted" && admitted.grammar !== undefined);
      assert.equal(admitted.queue.start, admitted.grammar.end);
    });

    it("lets others run while it is compiled, and can be cancelled meanwhile", async () => {
      const hold = gate();
      const { engine, events, submit, ended } = startEngine({
        constraints: { compile: () => hold.opened.then(even) },
      });
      submit(held("slow"));
      submit(held("left"));
      submit(engineRequest({ id: "other", maxTokens: 3 }));
      await turn();
      assert.equal(story(events, "other").at(-1), "finished length");
      engine.dispatch({ type: "cancel", id: "left", cause: "client_gone" });
      await turn();
      assert.deepEqual(story(events, "left"), ["cancelled client_gone"]);
      hold.open();
      await ended();
      assert.equal(story(events, "slow").at(-1), "finished stop");
      assert.deepEqual(story(events, "left"), ["cancelled client_gone"]);
    });

    it("fails a request whose grammar cannot be compiled, or that has nobody to compile it", async () => {
      const refusing = startEngine({
        constraints: { compile: () => Promise.reject(new VitrineError("invalid_request", "no such keyword")) },
      });
      refusing.submit(held("a"));
      await refusing.ended();
      assert.deepEqual(story(refusing.events, "a"), ["failed invalid_request"]);
      const without = startEngine();
      without.submit(held("a"));
      await without.ended();
      assert.deepEqual(story(without.events, "a"), ["failed model_unsupported"]);
    });

    it("ends what is being compiled when the engine shuts down", async () => {
      const { events, submit, shutdown } = startEngine({ constraints: { compile: () => new Promise(() => {}) } });
      submit(held("a"));
      await shutdown();
      assert.deepEqual(story(events, "a"), ["cancelled drain"]);
    });
  });

  describe("time", () => {
    const statsOf = (events: readonly EngineEvent[]): EngineStats[] =>
      events.flatMap((event) => (event.type === "stats" ? [event.stats] : []));

    it("accounts for all of it: shares add up to busy, busy and idle to the total", async () => {
      const steps: number[] = [];
      const started = startEngine({
        beforeRun: (run) => {
          const micros = 1000 + 137 * (run % 5);
          steps.push(micros);
          started.pass(micros);
        },
      });
      await turn();
      started.pass(5_000_000);
      for (let i = 0; i < 6; i++) {
        started.submit(engineRequest({ id: `r${i}`, prompt: new Int32Array(1 + i), maxTokens: 2 + i }));
      }
      await started.ended();
      await turn();
      const total = steps.reduce((sum, micros) => sum + micros, 0);
      const shares = started.events.reduce((sum, event) => {
        if (event.type === "prefilled") return sum + event.forward.deviceSeconds;
        return event.type === "ended" ? sum + (event.forward?.deviceSeconds ?? 0) : sum;
      }, 0);
      assert.ok(Math.abs(shares - total / 1e6) < 1e-12);
      const last = statsOf(started.events).at(-1);
      assert.ok(last !== undefined);
      assert.equal(last.steps, steps.length);
      assert.ok(Math.abs(last.busySeconds - total / 1e6) < 1e-12);
      assert.ok(Math.abs(last.idleSeconds - 5) < 1e-9);
      assert.deepEqual([last.waiting, last.running, last.kvTokensReserved, last.kvTokensTotal], [0, 0, 0, 256]);
    });

    it("sends gauges at most four times a second, only changed ones, and at once when nothing is left to do", async () => {
      // A vocabulary so large that the text does not repeat: nothing can be guessed.
      const started = startEngine({ vocabSize: 100, beforeRun: () => started.pass(10_000) });
      await turn();
      assert.equal(statsOf(started.events).length, 1, "the first gauges");
      started.submit(engineRequest({ id: "a", maxTokens: 50 }));
      await started.ended();
      // Half a second of steps: gauges after 250 ms, after 500, and with the last token.
      const stats = statsOf(started.events);
      assert.deepEqual(
        stats.map(({ running, steps }) => [running, steps]),
        [
          [0, 0],
          [1, 24],
          [1, 49],
          [0, 50],
        ],
      );
      assert.deepEqual(
        started.events.slice(-2).map(({ type }) => type),
        ["ended", "stats"],
      );
      const messages = started.messages.length;
      started.pass(1_000_000);
      started.engine.dispatch({ type: "cancel", id: "nobody", cause: "timeout" });
      await turn();
      assert.equal(started.messages.length, messages, "nothing changed");
    });
  });

  it("ends each of hundreds of requests once, whatever fails and whoever leaves", async () => {
    const random = Random.seeded(77);
    const below = (limit: number): number => Math.floor(random.nextFloat() * limit);
    const started = startEngine({
      logits: hashedLogits,
      maxSequences: 5,
      beforeRun: async (run) => {
        if (below(3) === 0) await turn();
        const any = `r${below(400)}`;
        const pick = below(12);
        if (pick === 0) started.engine.dispatch({ type: "cancel", id: any, cause: "client_gone" });
        if (pick === 1) started.engine.dispatch({ type: "stop", id: any });
        if (pick === 2 && run % 2 === 0) throw new Error("a failing run");
      },
    });
    for (let i = 0; i < 400; i++) {
      const prompt = Int32Array.from({ length: 1 + below(20) }, () => below(32));
      started.submit(engineRequest({ id: `r${i}`, prompt, maxTokens: 1 + below(40), stopTokenIds: [below(32)] }));
      if (below(4) === 0) await turn();
    }
    await started.ended();
    const ends = started.events.filter(isRequestEvent).filter(({ type }) => type === "ended");
    assert.equal(ends.length, 400);
    const kinds = new Set(Array.from({ length: 400 }, (_, i) => story(started.events, `r${i}`).at(-1)));
    for (const kind of ["finished stop", "finished length", "cancelled client_gone", "failed inference_failed"]) {
      assert.ok(kinds.has(kind), `no request ${kind}`);
    }
  });

  it("takes the likeliest tokens from a device, and all logits only where a request needs them", async () => {
    const outputs = async (onDevice: boolean, sampling: EngineRequest["sampling"], logprobs?: number) => {
      const { runner, events, submit, ended, shutdown } = startEngine({
        onDevice,
        logits: hashedLogits,
        vocabSize: 200,
      });
      const extra = logprobs === undefined ? {} : { logprobs };
      submit({ ...engineRequest({ id: "a", sampling, maxTokens: 8 }), ...extra });
      await ended();
      await shutdown();
      return { tokens: tokensOf(events, "a"), read: runner.rowsRead };
    };
    for (const sampling of [GREEDY, { ...GREEDY, temperature: 1, topK: 20, topP: 0.9 }]) {
      const [device, host] = [await outputs(true, sampling), await outputs(false, sampling)];
      assert.deepEqual(device.tokens, host.tokens);
      assert.equal(device.read, 0);
      assert.equal((await outputs(true, sampling, 2)).read, 8);
    }
    const penalized = { ...GREEDY, presencePenalty: 1 };
    assert.equal((await outputs(true, penalized)).read, 8);
  });
});
