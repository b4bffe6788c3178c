/** What requests are told they cost, of the real engine and model. */
import assert from "node:assert/strict";
import { createEngineClient, type EngineClient } from "../../src/engine/client/client.js";
import type { EngineRequest, EngineStats, RequestEvent } from "../../src/protocol.js";
import { engineRequest } from "../support/engine-requests.js";
import { PACKAGE_ROOT } from "../support/vitrine-process.js";

const ENTRY = new URL("../../src/cli/engine-process.js", import.meta.url);

describe("the cost of requests", function () {
  this.timeout(60_000);
  let engine: EngineClient;

  before(async () => {
    const load = { modelDir: `${PACKAGE_ROOT}models/tiny`, dtype: "auto", device: "cpu", threads: 1, maxSequences: 4 };
    engine = createEngineClient({ entry: ENTRY, load: load as never, onLog: () => {} });
    await new Promise<void>((resolve, reject) => {
      engine.onLoad(({ result }) => (result.kind === "ready" ? resolve() : reject(new Error(result.error.message))));
    });
  });

  after(() => engine.shutdown(0));

  /** Its device seconds, and when it ended by the engine's clock. */
  function run(request: EngineRequest): Promise<{ cost: number; end: number }> {
    let cost = 0;
    return new Promise((resolve) => {
      engine.submit(request, (event: RequestEvent) => {
        if (event.type === "prefilled") cost += event.forward.deviceSeconds;
        if (event.type === "preempted" || event.type === "ended") cost += event.forward?.deviceSeconds ?? 0;
        if (event.type === "ended") resolve({ cost, end: event.at });
      });
    });
  }

  /** Gauges that nothing is left, which come with the last end or right after. */
  async function atRest(steps: number): Promise<EngineStats> {
    for (;;) {
      const stats = engine.engines[0]?.stats;
      if (stats !== undefined && stats.steps > steps && stats.waiting + stats.running === 0) return stats;
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  it("adds up, with what is idle, to the wall time", async () => {
    const first = await run(engineRequest({ id: "warm" }));
    const before = await atRest(0);
    const results = [];
    for (let round = 0; round < 3; round++) {
      const together = [40, 90, 140, 200].map((maxTokens, index) =>
        engineRequest({
          id: `r${round}-${index}`,
          prompt: Int32Array.from({ length: 30 + index }, (_, i) => 5 + i),
          maxTokens,
        }),
      );
      results.push(...(await Promise.all(together.map(run))));
    }
    const after = await atRest(before.steps);
    const shares = results.reduce((sum, { cost }) => sum + cost, 0);
    const wall = (Math.max(...results.map(({ end }) => end)) - first.end) / 1e6;
    const idle = after.idleSeconds - before.idleSeconds;
    const busy = after.busySeconds - before.busySeconds;
    assert.ok(Math.abs(shares / busy - 1) < 1e-6, `shares ${shares}, busy ${busy}`);
    assert.ok(Math.abs((shares + idle) / wall - 1) < 0.01, `shares ${shares} + idle ${idle}, wall ${wall}`);
  });
});
