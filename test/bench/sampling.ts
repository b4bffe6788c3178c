/**
 * What a request's trace costs the server's thread: not recorded, recorded for the tail sampler, and sampled. Eight spans, the
 * export thread and the embedded store behind them; rounds interleaved. `node dist/test/bench/sampling.js`
 */
import { setTimeout as sleep } from "node:timers/promises";
import { createTracing, type Tracing } from "../../src/tracing/tracing.js";
import { complete } from "../unit/tracing/spans/request-fixtures.js";

const ROUNDS = 240;
const WARM_UP = 40;
const REQUESTS = 200;
/** For the export thread to catch up. */
const PAUSE_MS = 30;
const NO_GPU = "data:text/javascript,export const openGpuSampler = async () => undefined;";

function start(sampleRate: number, failed: boolean): Tracing {
  return createTracing(
    {
      serviceName: "bench",
      propagation: ["b3multi"],
      sampleRate,
      tail: { failed, longestMs: 60_000 },
      storeTraces: true,
      localEndpoint: {},
      log: () => {},
    },
    { gpuModule: NO_GPU },
  );
}

const modes = [
  { name: "not recorded", tracing: start(0, false), micros: [] as number[] },
  { name: "recorded for the tail sampler", tracing: start(0, true), micros: [] as number[] },
  { name: "sampled", tracing: start(1, true), micros: [] as number[] },
];
for (let round = 0; round < ROUNDS; round++) {
  for (const { tracing, micros } of modes) {
    const requests = { start: (request: Parameters<Tracing["startRequest"]>[0]) => tracing.startRequest(request) };
    const begin = performance.now();
    for (let count = 0; count < REQUESTS; count++) complete({ requests });
    if (round >= WARM_UP) micros.push(((performance.now() - begin) * 1e3) / REQUESTS);
    await sleep(PAUSE_MS);
  }
}
for (const { name, tracing, micros } of modes) {
  micros.sort((a, b) => a - b);
  const [low, median, high] = [0.25, 0.5, 0.75].map((share) =>
    (micros[Math.floor(micros.length * share)] ?? 0).toFixed(1),
  );
  console.log(`${name}: ${median} us a request (${low} to ${high})`);
  await tracing.shutdown(1_000);
}
