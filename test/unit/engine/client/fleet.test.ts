import assert from "node:assert/strict";
import type { EngineClient, EngineLoad, EngineState } from "../../../../src/engine/client/client.js";
import { createEngineClient } from "../../../../src/engine/client/client.js";
import { createFleet } from "../../../../src/engine/client/fleet.js";
import type { EngineRequest, RequestEvent } from "../../../../src/protocol.js";
import { engineRequest, story } from "../../../support/engine-requests.js";
import { FAKE_DEVICE, FAKE_MODEL, FakeEngine } from "../../../support/fake-engine.js";
import { FakeEngineProcesses } from "../../../support/fake-engine-child.js";
import { ManualTimers } from "../../../support/manual-timers.js";

const LOST = { code: "engine_lost", message: "gone" } as const;
const RESTARTING: EngineState = { kind: "restarting", error: LOST, restarts: 1 };
const READY: EngineState = { kind: "ready", model: FAKE_MODEL, device: FAKE_DEVICE };

/** A prompt of this many tokens, all the same. */
const prompt = (length: number, token = 7): Int32Array => new Int32Array(length).fill(token);
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function makeFleet(count = 2) {
  const engines = Array.from({ length: count }, () => new FakeEngine());
  const fleet = createFleet(engines, 4);
  let requests = 0;
  /** Submits a request, and tells the number of the engine that took it. */
  const route = (fields: Partial<EngineRequest> = {}): number => {
    const id = fields.id ?? `r${requests++}`;
    fleet.submit(engineRequest({ prompt: prompt(3), ...fields, id }), () => {});
    return engines.findIndex((engine) => engine.requests.some((request) => request.id === id));
  };
  const finishAll = (): void => {
    for (const engine of engines) for (const request of engine.requests) if (!request.ended) request.finish();
  };
  return { fleet, engines, route, finishAll };
}

describe("Fleet: where a request goes", () => {
  it("to the least loaded, in turn where all have as much to do", () => {
    const { route, finishAll } = makeFleet(3);
    assert.deepEqual([route(), route(), route(), route()], [0, 1, 2, 0]);
    finishAll();
    assert.equal(route(), 1);
  });

  it("weighs requests by their tokens, and answers by what may be expected of them", () => {
    const { route } = makeFleet();
    assert.equal(route({ prompt: prompt(1000), maxTokens: 1 }), 0);
    assert.deepEqual([route({ maxTokens: 1_000_000 }), route({ maxTokens: 400 })], [1, 1]);
    assert.equal(route({ maxTokens: 400 }), 1);
    assert.equal(route(), 0);
  });

  it("to the engine that has its prompt, and again to the least loaded once that has much more to do", () => {
    const { route } = makeFleet();
    const long = prompt(1000);
    assert.equal(route({ prompt: long, maxTokens: 1 }), 0);
    assert.deepEqual([route({ prompt: long, maxTokens: 1 }), route({ prompt: long, maxTokens: 1 })], [0, 0]);
    assert.equal(route({ prompt: long, maxTokens: 1 }), 1, "3,003 tokens more than nothing to do");
    assert.equal(route({ prompt: long, maxTokens: 1 }), 1, "both have it");
  });

  it("to the one with the longest common prefix, if that is worth it", () => {
    const { route, finishAll } = makeFleet();
    const chat = Int32Array.of(...prompt(100, 1), ...prompt(100, 2));
    assert.equal(route({ prompt: chat.subarray(0, 100) }), 0);
    finishAll();
    assert.equal(route({ prompt: Int32Array.of(...chat, 3) }), 0, "its second turn");
    finishAll();
    assert.deepEqual([route(), route()], [1, 0]);
    finishAll();
    assert.equal(route({ prompt: Int32Array.of(...prompt(63, 1), 9) }), 1, "63 tokens are not");
    finishAll();
    assert.equal(route({ prompt: Int32Array.of(...prompt(64, 1), 9) }), 0, "64 are");
  });

  it("never by the prompt of another salt, nor for one whose every token is to be scored", () => {
    for (const fields of [{ cacheSalt: "b" }, { promptLogprobs: true }]) {
      const { route } = makeFleet();
      assert.equal(route({ prompt: prompt(500), cacheSalt: "a" }), 0);
      assert.equal(route({ prompt: prompt(500), cacheSalt: "a", ...fields }), 1);
    }
  });

  it("to ready engines only, and not for prompts of before a restart", () => {
    const { engines, route, finishAll } = makeFleet();
    assert.equal(route({ prompt: prompt(500) }), 0);
    finishAll();
    engines[0]?.setState(RESTARTING);
    assert.equal(route({ prompt: prompt(500) }), 1);
    finishAll();
    engines[0]?.setState(READY);
    assert.equal(route({ prompt: prompt(500) }), 1, "the one that has it now");
    finishAll();
    engines[1]?.setState(RESTARTING);
    assert.deepEqual([route(), route()], [0, 0]);
  });
});

describe("Fleet: as one engine", () => {
  it("is what its best engine is", () => {
    const { fleet, engines } = makeFleet();
    const [a, b] = engines as [FakeEngine, FakeEngine];
    const failed: EngineState = { kind: "failed", error: LOST };
    const starting: EngineState = { kind: "starting", phase: "warmup" };
    for (const [one, other] of [
      [READY, starting],
      [starting, RESTARTING],
      [RESTARTING, failed],
      [failed, { kind: "stopped" }],
      [{ kind: "stopped" }, { kind: "stopped" }],
    ] as const) {
      [a.state, b.state] = [one, other];
      assert.deepEqual(fleet.state, one);
      [a.state, b.state] = [other, one];
      assert.deepEqual(fleet.state, one);
    }
  });

  it("takes what fits into the shortest context of its ready engines", () => {
    const { fleet, engines } = makeFleet(3);
    const contexts = [200, 100, 50];
    engines.forEach((engine, i) => {
      engine.state = { ...READY, model: { ...FAKE_MODEL, contextLength: contexts[i] ?? 0 } };
    });
    engines[2]?.setState(RESTARTING);
    assert.ok(fleet.state.kind === "ready");
    assert.equal(fleet.state.model.contextLength, 100);
  });

  it("shows each engine, and counts what all have to do", () => {
    const { fleet, engines, route } = makeFleet();
    route();
    route();
    route();
    assert.deepEqual([fleet.inFlight, ...fleet.engines.map(({ inFlight }) => inFlight)], [3, 2, 1]);
    engines[1]?.setState(RESTARTING);
    assert.deepEqual(
      fleet.engines.map(({ state }) => state.kind),
      ["ready", "restarting"],
    );
  });

  it("passes stop and cancel to the engine that has the request", async () => {
    const { fleet, engines } = makeFleet();
    const events: RequestEvent[] = [];
    for (const id of ["a", "b", "c"]) fleet.submit(engineRequest({ id }), (event) => events.push(event));
    fleet.stop("b");
    fleet.cancel("c", "timeout");
    fleet.cancel("unknown", "timeout");
    await turn();
    assert.deepEqual(
      ["a", "b", "c"].map((id) => story(events, id)),
      [[], ["finished stop"], ["cancelled timeout"]],
    );
    assert.deepEqual(
      engines.map(({ inFlight }) => inFlight),
      [1, 0],
    );
    fleet.stop("b");
    assert.equal(engines[1]?.requests[0]?.stops, 1, "an ended request is nobody's");
  });

  it("tells of every engine's steps", () => {
    const { fleet, engines } = makeFleet();
    const runs: string[] = [];
    fleet.onStep(({ number }, run) => runs.push(`${run.id} ${number}`));
    const step = { number: 1, phase: "decode", start: 1, end: 2, batchSize: 1, tokens: 1, contextTokens: 4 } as const;
    for (const [index, engine] of engines.entries()) {
      engine.stepped({ ...step, requests: ["a"] }, { id: `run${index}`, model: "fake", device: FAKE_DEVICE });
    }
    assert.deepEqual(runs, ["run0 1", "run1 1"]);
  });

  it("tells of every engine's starts and states", () => {
    const { fleet, engines } = makeFleet();
    const loads: EngineLoad[] = [];
    const states: string[] = [];
    fleet.onLoad((load) => loads.push(load));
    fleet.onState(({ kind }) => states.push(kind));
    const load = { load: { start: 0, end: 1, phases: [] }, restarts: 0 };
    engines[1]?.loaded({ ...load, device: "cuda:1", result: { kind: "failed", error: LOST } });
    engines[0]?.setState(RESTARTING);
    engines[1]?.setState(RESTARTING);
    assert.deepEqual(
      loads.map(({ device }) => device),
      ["cuda:1"],
    );
    assert.deepEqual(states, ["ready", "restarting"]);
  });
});

describe("Fleet: over engine processes", () => {
  function makeProcesses() {
    const timers = new ManualTimers();
    const processes = [new FakeEngineProcesses(), new FakeEngineProcesses()] as const;
    const clients = processes.map(
      ({ spawn }): EngineClient =>
        createEngineClient({
          entry: "unused",
          load: { modelDir: "models/none", dtype: "auto", device: "cpu", threads: 1, maxSequences: 2 },
          clock: () => 1_000,
          timers,
          spawn,
        }),
    );
    const events: RequestEvent[] = [];
    const fleet = createFleet(clients, 2);
    const submit = (id: string): void => fleet.submit(engineRequest({ id }), (event) => events.push(event));
    return { fleet, processes, timers, events, submit };
  }

  it("refuses as its engines would while none is ready", async () => {
    const { fleet, events, submit } = makeProcesses();
    submit("a");
    assert.equal(fleet.inFlight, 1);
    await turn();
    assert.deepEqual(story(events, "a"), ["failed engine_not_ready"]);
    assert.equal(fleet.inFlight, 0);
  });

  it("refuses a second request with a live id, whichever engine would be next", async () => {
    const { processes, events, submit } = makeProcesses();
    for (const { latest } of processes) latest.ready(1_000);
    submit("a");
    submit("a");
    await turn();
    assert.deepEqual(story(events, "a"), ["failed internal"]);
    assert.deepEqual(processes[1].latest.heard(), ["load"]);
    processes[0].latest.events({ type: "ended", id: "a", outcome: { kind: "finished", reason: "stop" }, at: 1 });
    assert.deepEqual(story(events, "a"), ["failed internal", "finished stop"]);
  });

  it("loses the requests of an engine that dies and no others, and has it back", () => {
    const { fleet, processes, timers, events, submit } = makeProcesses();
    const [first, second] = processes;
    first.latest.ready(1_000);
    second.latest.ready(1_000);
    for (const id of ["a", "b", "c"]) submit(id);
    first.latest.exit({ code: null, signal: "SIGKILL" });
    assert.deepEqual(
      ["a", "b", "c"].map((id) => story(events, id)),
      [["failed engine_lost"], [], ["failed engine_lost"]],
    );
    assert.equal(fleet.state.kind, "ready");
    submit("d");
    submit("e");
    assert.deepEqual(second.latest.heard(), ["load", "submit b", "submit d", "submit e"]);
    timers.runNext();
    first.latest.ready(1_000);
    submit("f");
    assert.deepEqual(first.latest.heard(), ["load", "submit f"], "it has least to do");
  });

  it("shuts all down", async () => {
    const { fleet, processes, timers, submit } = makeProcesses();
    for (const { latest } of processes) latest.ready(1_000);
    submit("a");
    const down = fleet.shutdown(5_000);
    await turn();
    assert.deepEqual(
      processes.map(({ latest }) => latest.heard().at(-1)),
      ["submit a", "shutdown"],
      "the first drains",
    );
    timers.runNext();
    await turn();
    for (const { latest } of processes) {
      assert.equal(latest.heard().at(-1), "shutdown");
      latest.exit({ code: 0, signal: null });
    }
    await down;
    assert.deepEqual(fleet.state, { kind: "stopped" });
  });
});
