import assert from "node:assert/strict";
import { createEngineClient, type EngineClient, type EngineLoad } from "../../../../src/engine/client/client.js";
import type { EngineRun, LoadOptions, RequestEvent } from "../../../../src/protocol.js";
import { engineRequest, story } from "../../../support/engine-requests.js";
import { FakeEngineProcesses } from "../../../support/fake-engine-child.js";
import { ManualTimers } from "../../../support/manual-timers.js";

const LOAD: LoadOptions = { modelDir: "models/none", dtype: "auto", device: "cpu", threads: 1, maxSequences: 2 };
const KILLED = { code: null, signal: "SIGKILL" } as const;
const BROKEN = { code: "model_invalid", message: "onnx/model.onnx is truncated; download it again." } as const;

function makeClient(load: LoadOptions = LOAD) {
  const processes = new FakeEngineProcesses();
  const timers = new ManualTimers();
  const logs: string[] = [];
  const loads: EngineLoad[] = [];
  const states: string[] = [];
  /** Kills that the kernel counts. */
  const oomKills: string[] = [];
  let now = 1_000;
  const client = createEngineClient({
    entry: "unused",
    load,
    clock: () => now,
    timers,
    spawn: processes.spawn,
    oomKills: { happened: () => oomKills.splice(0).length > 0 },
    onLog: (line) => logs.push(line),
  });
  client.onLoad((load) => loads.push(load));
  client.onState(({ kind }) => states.push(kind));
  const pass = (micros: number): void => {
    now += micros;
  };
  const ready = (): void => {
    pass(10);
    processes.latest.ready(now);
  };
  return { client, processes, timers, logs, loads, states, oomKills, pass, ready, now: () => now };
}

/** Submits a request and collects its events. */
function submit(client: EngineClient, id: string): RequestEvent[] {
  const events: RequestEvent[] = [];
  client.submit(engineRequest({ id }), (event) => events.push(event));
  return events;
}

function admitted(id: string): RequestEvent {
  const queue = { start: 1, end: 2, depth: 0 };
  const amounts = {
    tokens: 4,
    bytes: 5,
    reusedTokens: 0,
    evictedTokens: 0,
    waitMs: 0,
    poolBytes: 6,
    poolUtilization: 1,
  };
  return { type: "admitted", id, queue, allocation: { start: 2, end: 3, ...amounts } };
}

function errorOf(events: readonly RequestEvent[]): { code: string; message: string } {
  const last = events.at(-1);
  assert.ok(last?.type === "ended" && last.outcome.kind === "failed", "not failed");
  return last.outcome.error;
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("EngineClient", () => {
  it("starts a process, has it load, and is ready when it is", () => {
    const { client, processes, loads, states, ready } = makeClient();
    assert.deepEqual(processes.latest.commands, [{ type: "load", options: LOAD }]);
    assert.deepEqual(client.state, { kind: "starting" });
    processes.latest.events({ type: "loading", phase: "session.create" });
    assert.deepEqual(client.state, { kind: "starting", phase: "session.create" });
    ready();
    assert.ok(client.state.kind === "ready");
    assert.equal(client.state.model.name, "fake");
    assert.deepEqual(states, ["starting", "ready"]);
    assert.equal(loads.length, 1);
    assert.deepEqual([loads[0]?.device, loads[0]?.restarts], ["cpu", 0]);
    assert.deepEqual(loads[0]?.load, { start: 1_000, end: 1_010, phases: [] }, "it counts from the fork");
  });

  it("tells a listener that comes late of the load it missed", async () => {
    const { client, ready } = makeClient();
    ready();
    const late: EngineLoad[] = [];
    client.onLoad((load) => late.push(load));
    assert.equal(late.length, 0);
    await turn();
    assert.equal(late[0]?.result.kind, "ready");
  });

  it("passes events to their request until it ended, and gauges to whoever asks", () => {
    const { client, processes, ready } = makeClient();
    ready();
    const [a, b] = [submit(client, "a"), submit(client, "b")];
    assert.equal(client.inFlight, 2);
    const stats = {
      waiting: 0,
      running: 2,
      kvTokensReserved: 1,
      kvTokensTotal: 2,
      kvTokensKept: 0,
      kvTokensEvicted: 0,
      kvBytesAllocated: 1,
      kvBytesTotal: 2,
      kvGrowths: 1,
      kvRefusals: 0,
      kvGrowthSeconds: 0,
      preemptions: 0,
      expectedStepMs: 0,
      busySeconds: 3,
      idleSeconds: 4,
      steps: 5,
    };
    processes.latest.events(
      { type: "token", id: "a", token: 5, at: 1 },
      { type: "stats", stats },
      { type: "ended", id: "a", outcome: { kind: "finished", reason: "stop" }, at: 2 },
      { type: "ended", id: "a", outcome: { kind: "finished", reason: "stop" }, at: 3 },
      { type: "token", id: "b", token: 6, at: 3 },
    );
    assert.deepEqual(story(a, "a"), ["token 5", "finished stop"]);
    assert.deepEqual(story(b, "b"), ["token 6"]);
    assert.equal(client.inFlight, 1);
    assert.deepEqual(client.engines[0]?.stats, stats);
  });

  it("has the device as it was told last, for whoever asks and for requests that are admitted then", () => {
    const { client, processes, ready, states } = makeClient();
    const replay = { on: false, reason: "A replayed step failed." };
    const changed = { requested: "cuda", provider: "cuda", deviceId: 0, reason: "asked for", replay } as const;
    processes.latest.events({ type: "device", device: changed });
    ready();
    processes.latest.events({ type: "device", device: changed });
    const { state } = client;
    assert.deepEqual(state.kind === "ready" && state.device, changed);
    assert.equal(states.filter((kind) => kind === "ready").length, 1, "it has not started again");
    const events = submit(client, "a");
    processes.latest.events(admitted("a"));
    const [first] = events;
    assert.ok(first?.type === "admitted");
    assert.deepEqual(first.run?.device, changed);
  });

  it("sends stop and cancel for requests that run, and ignores others", () => {
    const { client, processes, ready } = makeClient();
    ready();
    submit(client, "a");
    client.stop("a");
    client.cancel("a", "timeout");
    client.stop("unknown");
    client.cancel("unknown", "timeout");
    assert.deepEqual(processes.latest.heard(), ["load", "submit a", "stop a", "cancel a"]);
  });

  it("fails a request with a live id without harming the first", async () => {
    const { client, processes, ready } = makeClient();
    ready();
    const first = submit(client, "a");
    const second = submit(client, "a");
    await turn();
    assert.equal(errorOf(second).code, "internal");
    assert.deepEqual(first, []);
    assert.deepEqual(processes.latest.heard(), ["load", "submit a"]);
  });

  it("refuses while not ready, on a later tick, and counts it until then", async () => {
    const { client } = makeClient();
    const events = submit(client, "a");
    assert.deepEqual(events, []);
    assert.equal(client.inFlight, 1);
    await turn();
    assert.equal(errorOf(events).code, "engine_not_ready");
    assert.match(errorOf(events).message, /still loading/);
    assert.equal(client.inFlight, 0);
  });

  it("says at admission where a request runs", () => {
    const { client, processes, ready } = makeClient();
    ready();
    const events = submit(client, "a");
    processes.latest.events(admitted("a"));
    assert.ok(client.state.kind === "ready" && events[0]?.type === "admitted");
    const { run } = events[0];
    assert.equal(run?.device, client.state.device);
    assert.equal(run?.model, client.state.model.name);
    assert.match(run?.id ?? "", /^[0-9a-f]{32}$/);
  });

  it("tells of steps with the run they belong to, before what they brought", () => {
    const { client, processes, timers, ready } = makeClient();
    ready();
    const heard: string[] = [];
    const runs: EngineRun[] = [];
    client.onStep(({ number }, run) => {
      heard.push(`step ${number}`);
      runs.push(run);
    });
    client.submit(engineRequest({ id: "a", recordSteps: true }), ({ type }) => heard.push(type));
    const step = {
      phase: "decode",
      start: 1,
      end: 2,
      batchSize: 1,
      tokens: 1,
      contextTokens: 4,
      requests: ["a"],
    } as const;
    const token = { type: "token", id: "a", token: 7, at: 2 } as const;
    processes.latest.events({ type: "step", step: { ...step, number: 1 } }, token);
    processes.latest.events({ type: "step", step: { ...step, number: 2 } }, token);
    assert.deepEqual(heard, ["step 1", "token", "step 2", "token"]);
    assert.equal(runs[0], runs[1]);
    processes.latest.exit(KILLED);
    timers.runNext();
    ready();
    processes.latest.events({ type: "step", step: { ...step, number: 1 } });
    assert.notEqual(runs[2]?.id, runs[0]?.id, "its numbers begin again");
  });

  it("passes the child's log lines on", () => {
    const { processes, logs } = makeClient();
    processes.latest.log("hello");
    assert.deepEqual(logs, ["hello"]);
  });

  describe("when the process dies", () => {
    it("ends its requests once, says what killed it, and starts another", async () => {
      const { client, processes, timers, states, ready } = makeClient();
      ready();
      const [a, b] = [submit(client, "a"), submit(client, "b")];
      processes.latest.exit(KILLED);
      for (const events of [a, b]) {
        assert.equal(events.length, 1);
        assert.equal(errorOf(events).code, "engine_lost");
        assert.match(
          errorOf(events).message,
          /^The engine process was killed by SIGKILL while this request was running; send it again\..*out-of-memory/,
        );
      }
      assert.equal(client.engines[0]?.stats, undefined);
      assert.ok(client.state.kind === "restarting");
      assert.equal(client.state.restarts, 1);
      const refused = submit(client, "c");
      await turn();
      assert.match(errorOf(refused).message, /being restarted/);
      timers.runNext();
      assert.equal(processes.started.length, 2);
      ready();
      assert.deepEqual(states, ["ready", "restarting", "ready"]);
      submit(client, "d");
      assert.deepEqual(processes.latest.heard(), ["load", "submit d"]);
    });

    it("is restarting before its requests hear of it, so that a retry is refused and not lost", async () => {
      const { client, processes, ready } = makeClient();
      ready();
      const retried: RequestEvent[][] = [];
      client.submit(engineRequest({ id: "a" }), () => retried.push(submit(client, "again")));
      processes.latest.exit(KILLED);
      await turn();
      assert.equal(errorOf(retried[0] ?? []).code, "engine_not_ready");
    });

    it("names the kernel's out-of-memory killer where it was that, everywhere", () => {
      const { client, processes, timers, loads, oomKills, ready } = makeClient();
      ready();
      const events = submit(client, "a");
      oomKills.push("the engine");
      processes.latest.exit(KILLED);
      const named =
        /^The engine process was killed by the kernel's out-of-memory killer while this request was running/;
      assert.match(errorOf(events).message, named);
      assert.match(errorOf(events).message, /A smaller dtype, less --kv-memory/);
      assert.ok(client.state.kind === "restarting");
      assert.match(client.state.error.message, /killed by the kernel's out-of-memory killer\./);
      timers.runNext();
      oomKills.push("the engine");
      processes.latest.exit(KILLED);
      const { result } = loads[1] ?? {};
      assert.ok(result?.kind === "failed");
      assert.match(result.error.message, /out-of-memory killer while it loaded the model\./);
    });

    it("does not take another death for one of memory, though the kernel counted a kill", () => {
      const { client, processes, oomKills, ready } = makeClient();
      ready();
      const events = submit(client, "a");
      oomKills.push("somebody else");
      processes.latest.exit({ code: null, signal: "SIGSEGV" });
      assert.match(errorOf(events).message, /was killed by SIGSEGV while/);
    });

    it("names an exit code, and suspects memory only for SIGKILL", () => {
      for (const [exit, words] of [
        [{ code: 134, signal: null }, "exited with code 134"],
        [{ code: null, signal: "SIGSEGV" }, "was killed by SIGSEGV"],
      ] as const) {
        const { client, processes, ready } = makeClient();
        ready();
        const events = submit(client, "a");
        processes.latest.exit(exit);
        const { message } = errorOf(events);
        assert.equal(message, `The engine process ${words} while this request was running; send it again.`);
      }
    });

    it("says why a process ends, where it has said so", () => {
      const { client, processes, timers, ready } = makeClient();
      ready();
      const events = submit(client, "a");
      const error = { code: "engine_lost", message: "The GPU is lost." } as const;
      processes.latest.events({ type: "lost", error });
      assert.ok(processes.latest.killed, "it may hang");
      assert.deepEqual(errorOf(events), error);
      assert.ok(client.state.kind === "restarting");
      assert.deepEqual(client.state.error, error);
      timers.runNext();
      ready();
      const later = submit(client, "b");
      processes.latest.exit({ code: 1, signal: null });
      assert.match(errorOf(later).message, /exited with code 1/);
    });

    it("waits longer each time, up to half a minute, and starts over after a healthy one", () => {
      const { processes, timers, pass, ready } = makeClient();
      ready();
      const delays: number[] = [];
      const die = (): void => {
        processes.latest.exit(KILLED);
        delays.push(...timers.delays);
        timers.runNext();
        ready();
      };
      for (let i = 0; i < 8; i++) die();
      assert.deepEqual(delays, [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000]);
      pass(59_000_000);
      die();
      assert.equal(delays.at(-1), 30000);
      pass(60_000_000);
      die();
      assert.equal(delays.at(-1), 500);
    });

    it("keeps trying when a restart does not load, and reports every start", () => {
      const { client, processes, timers, loads, ready, now } = makeClient();
      ready();
      processes.latest.exit(KILLED);
      timers.runNext();
      processes.latest.failLoad(BROKEN, now());
      assert.ok(client.state.kind === "restarting");
      assert.deepEqual([client.state.error, client.state.restarts], [BROKEN, 2]);
      assert.deepEqual(timers.delays, [1000]);
      timers.runNext();
      processes.latest.exit({ code: 9, signal: null });
      timers.runNext();
      ready();
      assert.deepEqual(
        loads.map(({ restarts, result }) => [restarts, result.kind]),
        [
          [0, "ready"],
          [1, "failed"],
          [2, "failed"],
          [3, "ready"],
        ],
      );
    });
  });

  describe("when the first load fails", () => {
    it("stays failed, says why to everybody, and does not try again", async () => {
      const { client, processes, timers, loads, states, now } = makeClient();
      processes.latest.failLoad(BROKEN, now());
      assert.deepEqual(client.state, { kind: "failed", error: BROKEN });
      assert.deepEqual(states, ["failed"]);
      assert.equal(timers.pending, 0);
      assert.equal(processes.started.length, 1);
      assert.deepEqual(loads[0]?.result, { kind: "failed", error: BROKEN });
      assert.equal(loads[0]?.load.phases[0]?.name, "session.create");
      const events = submit(client, "a");
      await turn();
      assert.equal(errorOf(events).code, "engine_not_ready");
      assert.match(errorOf(events).message, /is truncated; download it again/);
    });

    it("is failed too when the process died in it, with the phases it had told of", () => {
      const { client, processes, loads, pass } = makeClient();
      pass(5);
      processes.latest.events({ type: "loading", phase: "session.create" });
      pass(20);
      processes.latest.events({ type: "loading", phase: "warmup" });
      pass(30);
      processes.latest.exit(KILLED);
      assert.ok(client.state.kind === "failed");
      assert.match(client.state.error.message, /was killed by SIGKILL while it loaded the model\. .*out-of-memory/);
      assert.deepEqual(loads[0]?.load, {
        start: 1_000,
        end: 1_055,
        phases: [
          { name: "session.create", start: 1_005, end: 1_025 },
          { name: "warmup", start: 1_025, end: 1_055 },
        ],
      });
    });
  });

  describe("when the native runtime takes the process with it as it loads", () => {
    const AUTO: LoadOptions = { ...LOAD, device: "auto" };
    const CRASHED = { code: null, signal: "SIGSEGV" } as const;
    const FAILED = { code: "native_failed", message: "The native runtime failed on cuda:0." } as const;

    it("has another process load without it, and counts both as one start", () => {
      const { client, processes, loads, states, pass, ready } = makeClient(AUTO);
      pass(30);
      processes.latest.events({ type: "loading", phase: "rehearsal" });
      processes.latest.exit(CRASHED);
      const nativeFailure = "Loading with the native runtime ended in SIGSEGV.";
      assert.deepEqual(processes.latest.commands, [{ type: "load", options: { ...AUTO, nativeFailure } }]);
      assert.deepEqual([loads, client.state.kind], [[], "starting"]);
      ready();
      assert.deepEqual(loads[0]?.load, { start: 1_000, end: 1_040, phases: [] });
      assert.deepEqual([loads[0]?.restarts, states.at(-1)], [0, "ready"]);
      processes.latest.exit(KILLED);
      assert.equal(client.state.kind, "restarting");
    });

    it("waits for the end of one that lives to tell, for the sake of the device's memory", () => {
      const { processes, loads, now, ready } = makeClient(AUTO);
      const load = { start: now(), end: now(), phases: [] };
      processes.latest.events({ type: "load_failed", error: FAILED, load });
      assert.deepEqual([processes.started.length, loads], [1, []]);
      processes.latest.exit({ code: 1, signal: null });
      const options = { ...AUTO, nativeFailure: FAILED.message };
      assert.deepEqual(processes.latest.commands, [{ type: "load", options }]);
      ready();
      assert.equal(loads[0]?.result.kind, "ready");
    });

    it("has a third one load on the CPU where the device was its choice, and no fourth", () => {
      for (const [runtime, crashes] of [
        ["auto", 2],
        ["native", 1],
        ["node", 1],
      ] as const) {
        const load: LoadOptions = { ...AUTO, runtime };
        const { client, processes } = makeClient(load);
        for (let time = 0; time < crashes; time++) processes.latest.exit(CRASHED);
        const options = { ...load, cudaFailure: "loading a model there ended in SIGSEGV." };
        assert.deepEqual(processes.latest.commands, [{ type: "load", options }]);
        processes.latest.exit(CRASHED);
        assert.equal(client.state.kind, "failed");
        assert.equal(processes.started.length, crashes + 1);
      }
    });

    it("does so once, and not where native was asked for, on the CPU, or at other deaths", () => {
      const twice = makeClient({ ...AUTO, device: "cuda" });
      for (let time = 0; time < 2; time++) twice.processes.latest.exit(CRASHED);
      assert.equal(twice.client.state.kind, "failed");
      assert.match(
        twice.loads[0]?.result.kind === "failed" ? twice.loads[0].result.error.message : "",
        /SIGSEGV while .*vitrine doctor --device cuda.* --device cpu/,
      );
      for (const [load, exit] of [
        [{ ...AUTO, device: "cuda", runtime: "native" }, CRASHED],
        [{ ...AUTO, device: "cuda", runtime: "node" }, CRASHED],
        [LOAD, CRASHED],
        [AUTO, KILLED],
        [AUTO, { code: 1, signal: null }],
      ] as const) {
        const { client, processes } = makeClient(load);
        processes.latest.exit(exit);
        assert.equal(client.state.kind, "failed", JSON.stringify([load, exit]));
        assert.equal(processes.started.length, 1);
      }
    });
  });

  describe("shutdown", () => {
    const finished = { kind: "finished", reason: "stop" } as const;

    it("refuses new requests, lets running ones finish, then ends the process", async () => {
      const { client, processes, timers, ready } = makeClient();
      ready();
      const running = submit(client, "a");
      const down = client.shutdown(5_000);
      const refused = submit(client, "b");
      await turn();
      assert.equal(errorOf(refused).code, "draining");
      assert.deepEqual(processes.latest.heard(), ["load", "submit a"]);
      assert.deepEqual(timers.delays, [5_000]);
      processes.latest.events({ type: "ended", id: "a", outcome: finished, at: 1 });
      await turn();
      assert.equal(story(running, "a").at(-1), "finished stop");
      assert.equal(processes.latest.heard().at(-1), "shutdown");
      processes.latest.exit({ code: 0, signal: null });
      await down;
      assert.deepEqual(client.state, { kind: "stopped" });
      assert.equal(processes.latest.killed, false);
      assert.equal(timers.pending, 0);
      assert.equal(client.shutdown(1), client.shutdown(2), "a second call waits for the first");
    });

    it("has the engine cancel what is left when the time is up", async () => {
      const { client, processes, timers, ready } = makeClient();
      ready();
      const running = submit(client, "a");
      const down = client.shutdown(5_000);
      timers.runNext();
      await turn();
      assert.equal(processes.latest.heard().at(-1), "shutdown");
      processes.latest.events({ type: "ended", id: "a", outcome: { kind: "cancelled", cause: "drain" }, at: 1 });
      processes.latest.exit({ code: 0, signal: null });
      await down;
      assert.deepEqual(story(running, "a"), ["cancelled drain"]);
    });

    it("kills a process that does not go, and ends its requests as drained", async () => {
      const { client, processes, timers, ready } = makeClient();
      ready();
      const running = submit(client, "a");
      const down = client.shutdown(5_000);
      timers.runNext();
      await turn();
      assert.deepEqual(timers.delays, [2_000]);
      timers.runNext();
      await down;
      assert.equal(processes.latest.killed, true);
      assert.deepEqual(story(running, "a"), ["cancelled drain"]);
      assert.equal(processes.started.length, 1, "no restart");
    });

    it("ends requests as lost when the engine dies while they drain, and does not restart", async () => {
      const { client, processes, timers, ready } = makeClient();
      ready();
      const running = submit(client, "a");
      const down = client.shutdown(5_000);
      processes.latest.exit(KILLED);
      await down;
      assert.equal(errorOf(running).code, "engine_lost");
      assert.equal(timers.pending, 0);
      assert.deepEqual(client.state, { kind: "stopped" });
    });

    it("cancels a restart that was to come", async () => {
      const { client, processes, timers, ready } = makeClient();
      ready();
      processes.latest.exit(KILLED);
      await client.shutdown(5_000);
      assert.equal(timers.pending, 0);
      assert.equal(processes.started.length, 1);
    });

    it("during the first load ends it, and reports that as a load that did not finish", async () => {
      const { client, processes, loads } = makeClient();
      const down = client.shutdown(5_000);
      await turn();
      assert.equal(processes.latest.heard().at(-1), "shutdown");
      processes.latest.exit({ code: 0, signal: null });
      await down;
      assert.deepEqual(client.state, { kind: "stopped" });
      assert.ok(loads[0]?.result.kind === "failed");
      assert.equal(loads[0].result.error.code, "draining");
    });
  });
});
