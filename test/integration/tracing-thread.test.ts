import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { monotonicMicros } from "../../src/protocol.js";
import type { ZipkinSpan } from "../../src/tracing/export/zipkin-span.js";
import { LIST_BYTES } from "../../src/tracing/store/write-api.js";
import { assertBalanced, request, TracingHarness, until } from "./tracing-harness.js";

describe("the export thread", function () {
  this.timeout(30_000);
  const harness = new TracingHarness();

  afterEach(() => harness.stop());

  it("refuses and counts spans that end faster than the thread takes them", async () => {
    const tracing = harness.start(undefined, { ringBytes: 4_096, drainMs: 60_000 });
    for (let count = 0; count < 100; count++) request(tracing);
    const { ended, dropped, queued } = tracing.counters();
    assert.equal(ended, 200);
    assert.ok((dropped.ring_full ?? 0) > 100 && queued > 10);
    await tracing.store?.get("/services");
    assert.equal(tracing.counters().queued, 0);
    assertBalanced(tracing);
  });

  it("answers reads with every span that ended before", async () => {
    const tracing = harness.start(undefined, { drainMs: 600_000 });
    for (let count = 0; count < 50; count++) {
      const traceId = request(tracing);
      const answer = await tracing.store?.get(`/trace/${traceId}`);
      assert.equal(answer?.status, 200);
      assert.equal((JSON.parse(answer?.body ?? "[]") as ZipkinSpan[]).length, 2);
    }
    assert.equal((await tracing.store?.get("/traces?limit=none"))?.status, 400);
    assert.deepEqual(await tracing.store?.get("/trace/dead"), { status: 404, body: "dead not found" });
    assert.deepEqual([tracing.counters().delivered, tracing.counters().queued], [100, 0]);
  });

  it("takes spans of other services into the same store, up to what may wait", async () => {
    const tracing = harness.start(undefined);
    const { store } = tracing;
    assert.ok(store !== undefined);
    const traceId = request(tracing);
    const list = JSON.stringify([{ traceId, id: "1", name: "get /", localEndpoint: { serviceName: "gateway" } }]);
    assert.deepEqual(await store.post(Buffer.from(list), false), { status: 202, body: "" });
    const { body } = await store.get(`/trace/${traceId}`);
    const services = (JSON.parse(body) as ZipkinSpan[]).map(({ localEndpoint }) => localEndpoint.serviceName);
    assert.deepEqual(services.sort(), ["gateway", "vitrine", "vitrine"]);
    assert.deepEqual(JSON.parse((await store.get("/services")).body), ["gateway", "vitrine"]);
    const large = Buffer.alloc(LIST_BYTES, " ");
    const answers = await Promise.all(Array.from({ length: 4 }, () => store.post(large, false)));
    assert.deepEqual(
      answers.map(({ status }) => status),
      [400, 400, 400, 503],
    );
    assert.equal((await store.post(large, false)).status, 400, "there is room again");
  });

  it("answers 503 when the thread is gone", async () => {
    const tracing = harness.start(undefined);
    await tracing.shutdown(1_000);
    assert.equal((await tracing.store?.get("/services"))?.status, 503);
  });

  it("does not keep a process alive that nobody shuts down, but lets a read finish", () => {
    const module = new URL("../../src/tracing/tracing.js", import.meta.url).href;
    const script = `
      import { createTracing } from ${JSON.stringify(module)};
      const tracing = createTracing({ serviceName: "t", propagation: ["b3"], sampleRate: 1, storeTraces: true, localEndpoint: {}, log() {} });
      tracing.startRequest({ method: "GET", path: "/", headers: {}, start: 0, remote: {} }).finish({ status: 200, at: 5 });
      console.log((await tracing.store.get("/services")).body);
    `;
    const child = spawnSync(process.execPath, ["--input-type=module", "-e", script], {
      encoding: "utf8",
      timeout: 20_000,
    });
    assert.deepEqual([child.status, child.stdout, child.stderr], [0, '["t"]\n', ""]);
  });

  it("tags spans that ran on a GPU with what that device did meanwhile", async () => {
    const gpuModule = `data:text/javascript,export const openGpuSampler = async (device) => ({
      periodMs: 100,
      sample: async () => ({ at: 1, utilization: 60 %2B device, memoryUsedBytes: 4096, powerWatts: 250 }),
    })`;
    const tracing = harness.start(undefined, { gpuModule }, { gpuDeviceIds: [0, 3] });
    const load = (deviceId: number) => {
      const at = monotonicMicros();
      tracing.recordLoad({
        load: { start: at - 5_000, end: at, phases: [] },
        model: { name: "tiny" },
        requested: "cuda",
        device: { requested: "cuda", provider: "cuda", deviceId, reason: "asked for" },
        restarts: 0,
      });
    };
    for (const [deviceId, utilization] of [
      [0, "60"],
      [3, "63"],
    ] as const) {
      let tags: ZipkinSpan["tags"];
      // The samplers open some time after the thread starts.
      while (tags?.["ai.gpu.power"] === undefined) {
        load(deviceId);
        const [trace] = JSON.parse((await tracing.store?.get("/traces?limit=1"))?.body ?? "[]") as ZipkinSpan[][];
        tags = trace?.[0]?.tags;
        await sleep(5);
      }
      assert.deepEqual(
        [tags["ai.gpu.utilization"], tags["ai.gpu.memory_used"], tags["ai.gpu.power"]],
        [utilization, "4096", "250"],
      );
      assert.ok((tracing.cost.joules(`cuda:${deviceId}`) ?? 0) > 0);
    }
    assert.equal(tracing.cost.joules("cuda:1"), undefined, "not sampled");
  });

  it("reads the GPUs when asked, and logs how they are read, or why not", async () => {
    const gpuModule = `data:text/javascript,export const openGpuSampler = async (device, tell) => {
      tell("read: " %2B (device === 3));
      if (device !== 3) return undefined;
      return { periodMs: 1e6, sample: async () => undefined, read: async () => ({ at: 1, temperatureCelsius: 61 }) };
    }`;
    const tracing = harness.start(undefined, { gpuModule }, { gpuDeviceIds: [0, 3] });
    await until(() => harness.logs.some((line) => line === "read: true"));
    assert.ok(harness.logs.some((line) => line === "read: false"));
    let readings = await tracing.gpus();
    // The line is written before the first sample is.
    while (readings.length === 0) readings = await tracing.gpus();
    assert.deepEqual(readings, [{ device: "cuda:3", reading: { at: 1, temperatureCelsius: 61 } }]);
  });

  it("counts energy by the device's own counter where it has one", async () => {
    const gpuModule = `data:text/javascript,let counter = 900;
      export const openGpuSampler = async () => ({
        periodMs: 1,
        sample: async () => ({ at: Date.now() * 1000, powerWatts: 1, energyJoules: (counter %2B= 500) }),
      })`;
    const tracing = harness.start(undefined, { gpuModule }, { gpuDeviceIds: [0] });
    // By its power it would take minutes.
    await until(() => (tracing.cost.joules("cuda:0") ?? 0) >= 500);
  });

  it("goes on without GPU tags when the device cannot be opened, and says so", async () => {
    const gpuModule = "data:text/javascript,export const openGpuSampler = async () => { throw new Error('no NVML') };";
    const tracing = harness.start(undefined, { gpuModule });
    await until(() => harness.logs.some((line) => line.includes("no NVML")));
    assert.equal((await tracing.store?.get(`/trace/${request(tracing)}`))?.status, 200);
  });
});
