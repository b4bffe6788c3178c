import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { createEngineClient, type EngineClient, type EngineState } from "../../src/engine/client/client.js";
import type { DeviceRequest, EngineRequest, RequestEvent } from "../../src/protocol.js";
import { engineRequest, story, tokensOf } from "../support/engine-requests.js";

const FIXTURE = new URL("../support/engine-fixture.js", import.meta.url);
const PARENT = new URL("../support/engine-parent-fixture.js", import.meta.url);

/** Settles with the events once the request has ended. */
function finish(client: EngineClient, request: EngineRequest, onEvent?: (event: RequestEvent) => void) {
  return new Promise<RequestEvent[]>((resolve) => {
    const events: RequestEvent[] = [];
    client.submit(request, (event) => {
      events.push(event);
      onEvent?.(event);
      if (event.type === "ended") resolve(events);
    });
  });
}

function reached(client: EngineClient, kind: EngineState["kind"]): Promise<EngineState> {
  if (client.state.kind === kind) return Promise.resolve(client.state);
  return new Promise((resolve) => {
    client.onState((state) => {
      if (state.kind === kind) resolve(state);
    });
  });
}

/** Settles when the process has ended. Its entry may outlive it until its parent, or init, has asked for its end. */
async function gone(pid: number): Promise<void> {
  const ended = (): boolean => {
    try {
      return /^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
    } catch {
      return true;
    }
  };
  while (!ended()) await new Promise((resolve) => setTimeout(resolve, 10));
}

const pidIn = (line: string): number => Number(/pid (\d+)/.exec(line)?.[1]);

describe("the engine process", () => {
  let client: EngineClient;
  let logs: string[];

  const start = (modelDir: string, device: DeviceRequest = "cpu"): EngineClient => {
    logs = [];
    client = createEngineClient({
      entry: FIXTURE,
      load: { modelDir, dtype: "auto", device, threads: 1, maxSequences: 4 },
      onLog: (line) => logs.push(line),
    });
    return client;
  };
  /** The id of the engine process of that number; its log line may come after its first events. */
  const pidOf = async (number: number): Promise<number> => {
    for (;;) {
      const line = logs.filter((entry) => entry.includes("pid"))[number - 1];
      if (line !== undefined) return pidIn(line);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  };

  afterEach(() => client.shutdown(0));

  it("loads, says how long that took from the fork on, and serves", async () => {
    start("fine");
    const loaded = new Promise<Parameters<Parameters<EngineClient["onLoad"]>[0]>[0]>((resolve) =>
      client.onLoad(resolve),
    );
    const { load, result } = await loaded;
    assert.equal(result.kind, "ready");
    const [phase] = load.phases;
    assert.ok(phase !== undefined && load.start < phase.start && phase.start <= phase.end && phase.end <= load.end);
    const events = await finish(client, engineRequest({ id: "a", prompt: Int32Array.of(4, 5), maxTokens: 3 }));
    assert.deepEqual(story(events, "a"), ["admitted", "prefilled", "token 6", "token 7", "token 8", "finished length"]);
    await pidOf(1);
    assert.equal(logs[0], "fixture: loading");
    assert.match(logs[1] ?? "", /^fixture: pid \d+, telemetry 1$/);
  });

  it("loads again without the native runtime where that crashed, which is its device's reason", async () => {
    start("native", "auto");
    const state = await reached(client, "ready");
    assert.equal(state.kind === "ready" && state.device.reason, "Loading with the native runtime ended in SIGSEGV.");
    assert.notEqual(await pidOf(1), await pidOf(2));
  });

  it("runs several requests side by side", async () => {
    start("fine");
    await reached(client, "ready");
    const order: string[] = [];
    const requests = ["a", "b", "c"].map((id) => engineRequest({ id, maxTokens: 20 }));
    const ends = await Promise.all(
      requests.map((request) => finish(client, request, ({ type, id }) => type === "token" && order.push(id))),
    );
    for (const [index, events] of ends.entries()) assert.equal(tokensOf(events, requests[index]?.id ?? "").length, 20);
    const firstEnd = Math.min(...requests.map(({ id }) => order.lastIndexOf(id)));
    for (const { id } of requests) assert.ok(order.indexOf(id) < firstEnd, "all have begun before the first ends");
  });

  it("stops and cancels between two steps", async () => {
    start("fine");
    await reached(client, "ready");
    const long = { maxTokens: 50_000 };
    const [stopped, cancelled] = await Promise.all([
      finish(client, engineRequest({ id: "s", ...long }), ({ type }) => type === "token" && client.stop("s")),
      finish(
        client,
        engineRequest({ id: "c", ...long }),
        ({ type }) => type === "token" && client.cancel("c", "client_gone"),
      ),
    ]);
    assert.equal(story(stopped, "s").at(-1), "finished stop");
    assert.equal(story(cancelled, "c").at(-1), "cancelled client_gone");
    assert.equal(client.inFlight, 0);
  });

  it("killed in the middle of decoding, fails its requests and comes back", async () => {
    start("fine");
    await reached(client, "ready");
    const pid = await pidOf(1);
    let killed = false;
    const statesAtEnd: string[] = [];
    const onEvent = ({ type }: RequestEvent): void => {
      if (type === "ended") statesAtEnd.push(client.state.kind);
      if (type !== "token" || killed) return;
      killed = true;
      process.kill(pid, "SIGKILL");
    };
    const ends = await Promise.all(
      ["a", "b"].map((id) => finish(client, engineRequest({ id, maxTokens: 50_000 }), onEvent)),
    );
    for (const [index, id] of ["a", "b"].entries()) {
      const events = ends[index] ?? [];
      assert.equal(story(events, id).at(-1), "failed engine_lost");
      assert.equal(events.filter(({ type }) => type === "ended").length, 1);
    }
    // They hear of it at once, before the half second until the restart.
    assert.deepEqual(statesAtEnd, ["restarting", "restarting"]);
    await reached(client, "ready");
    assert.notEqual(await pidOf(2), pid);
    const events = await finish(client, engineRequest({ id: "next" }));
    assert.equal(story(events, "next").at(-1), "finished length");
  });

  it("ends where its device is lost, tells its requests why, and comes back", async () => {
    start("losing");
    await reached(client, "ready");
    const lost = reached(client, "restarting");
    const ended = await Promise.all(["a", "b", "c"].map((id) => finish(client, engineRequest({ id }))));
    for (const [index, id] of ["a", "b", "c"].entries()) {
      const last = ended[index]?.at(-1);
      assert.ok(last?.type === "ended" && last.outcome.kind === "failed", id);
      assert.deepEqual(last.outcome.error, { code: "engine_lost", message: "The GPU is lost." });
    }
    const state = await lost;
    assert.ok(state.kind === "restarting");
    assert.equal(state.error.message, "The GPU is lost.");
    assert.ok(logs.includes("The GPU is lost."), logs.join("; "));
    await reached(client, "ready");
  });

  it("passes a load's failure on and ends", async () => {
    start("missing");
    const state = await reached(client, "failed");
    assert.ok(state.kind === "failed");
    assert.deepEqual(state.error, { code: "model_missing", message: "There is no model in this directory." });
    await gone(await pidOf(1));
  });

  it("ends on an uncaught error, with its message on standard error and a code that is not 0", async () => {
    start("crashing");
    const state = await reached(client, "failed");
    assert.ok(state.kind === "failed");
    assert.match(state.error.message, /exited with code 1 while it loaded the model/);
    assert.ok(logs.some((line) => /unexpected error: Error: a bug/.test(line)));
  });

  it("is failed, not hung, when no process can be started", async () => {
    const { execPath } = process;
    try {
      process.execPath = "/nonexistent/node";
      start("fine");
    } finally {
      process.execPath = execPath;
    }
    const state = await reached(client, "failed");
    assert.ok(state.kind === "failed");
    assert.match(state.error.message, /could not be started/);
    assert.ok(logs.some((line) => line.includes("ENOENT")));
  });

  it("does not heed the signals that a terminal sends to the whole group", async () => {
    start("fine");
    await reached(client, "ready");
    const pid = await pidOf(1);
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.kill(pid, signal);
    const events = await finish(client, engineRequest({ id: "a" }));
    assert.equal(story(events, "a").at(-1), "finished length");
  });

  it("drains: running requests finish, then the process is gone", async () => {
    start("fine");
    await reached(client, "ready");
    const running = finish(client, engineRequest({ id: "a", maxTokens: 10 }));
    await client.shutdown(60_000);
    assert.equal(story(await running, "a").at(-1), "finished length");
    await gone(await pidOf(1));
  });

  it("cancels what does not finish in time", async () => {
    start("fine");
    await reached(client, "ready");
    const running = finish(client, engineRequest({ id: "a", maxTokens: 90_000 }));
    await client.shutdown(0);
    assert.equal(story(await running, "a").at(-1), "cancelled drain");
    await gone(await pidOf(1));
  });
});

describe("the engine process without its client", () => {
  for (const modelDir of ["fine", "hanging"]) {
    it(`ends with its parent (${modelDir === "fine" ? "while it decodes" : "while it loads"})`, async () => {
      const parent = fork(PARENT, [modelDir], { stdio: ["ignore", "pipe", "inherit", "ipc"] });
      assert.ok(parent.stdout !== null);
      let pid = 0;
      for await (const line of createInterface(parent.stdout)) {
        if (line.includes("pid")) pid = pidIn(line);
        if (line === "token" || (modelDir === "hanging" && pid !== 0)) break;
      }
      assert.ok(pid > 0);
      parent.kill("SIGKILL");
      await once(parent, "exit");
      await gone(pid);
    });
  }

  it("takes a child that is stuck in a native call with it when it exits", async () => {
    const parent = fork(PARENT, ["stuck"], { stdio: ["ignore", "pipe", "inherit", "ipc"] });
    assert.ok(parent.stdout !== null);
    let pid = 0;
    for await (const line of createInterface(parent.stdout)) {
      pid = pidIn(line);
      if (pid > 0) break;
    }
    parent.send("exit");
    await once(parent, "exit");
    await gone(pid);
  });

  it("answers what comes before the model is loaded, and ends when told to", async () => {
    const child = fork(FIXTURE, { serialization: "advanced", silent: true });
    child.send({ type: "submit", request: engineRequest({ id: "early" }) });
    const [events] = (await once(child, "message")) as [RequestEvent[]];
    assert.deepEqual(story(events, "early"), ["failed engine_not_ready"]);
    child.send({ type: "shutdown" });
    assert.deepEqual(await once(child, "exit"), [0, null]);
  });
});
