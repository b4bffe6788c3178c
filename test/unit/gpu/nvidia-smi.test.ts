import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { nvidiaSmiSampler } from "../../../src/gpu/nvidia-smi.js";
import { listedGpus, readingOf } from "../../../src/gpu/smi-document.js";

const require = createRequire(import.meta.url);
const MIB = 2 ** 20;

/** A document of `test/fixtures/nvidia-smi`, parsed as `node-nvidia-smi` parses it. */
function recorded(name: string): unknown {
  // The parser is a dependency of node-nvidia-smi, not ours: found from there.
  const { parseString } = createRequire(require.resolve("node-nvidia-smi"))("xml2js") as {
    parseString(xml: string, options: object, callback: (error: unknown, document: unknown) => void): void;
  };
  const xml = readFileSync(`test/fixtures/nvidia-smi/${name}.xml`, "utf8");
  let parsed: unknown;
  parseString(xml, { explicitArray: false, trim: true, async: false }, (error, document) => {
    if (error) throw error;
    parsed = document;
  });
  return parsed;
}

describe("nvidia-smi document", () => {
  it("gives every reading of a GPU, in base units", () => {
    assert.deepEqual(readingOf(recorded("two-gpus"), 0, 5), {
      at: 5,
      uuid: "GPU-0f5d1c2e-7a31-4d0b-9d5e-3b1f2c4a6e01",
      name: "NVIDIA H200",
      utilization: 87,
      memoryActivity: 54,
      memoryUsedBytes: 98304 * MIB,
      memoryTotalBytes: 143771 * MIB,
      powerWatts: 617.25,
      temperatureCelsius: 71,
      smClockHertz: 1.755e9,
      memoryClockHertz: 3.201e9,
      throttleReasons: ["sw_power_cap", "sw_thermal_slowdown"],
      migEnabled: false,
      eccCorrected: 12,
      eccUncorrected: 2,
      processes: [{ pid: 4711, memoryBytes: 97280 * MIB }],
    });
  });

  it("lists the GPUs, and has what is there of each", () => {
    const two = recorded("two-gpus");
    assert.deepEqual(
      listedGpus(two).map(({ uuid }) => uuid?.slice(-2)),
      ["01", "02"],
    );
    assert.deepEqual(readingOf(two, 1, 5), {
      at: 5,
      uuid: "GPU-0f5d1c2e-7a31-4d0b-9d5e-3b1f2c4a6e02",
      name: "NVIDIA H200",
      utilization: 0,
      memoryActivity: 0,
      memoryUsedBytes: MIB,
      memoryTotalBytes: 143771 * MIB,
      powerWatts: 76.08,
      migEnabled: false,
      processes: [],
    });
    assert.equal(readingOf(two, 2, 5), undefined);
  });

  it("has a GPU with MIG on without the load it does not tell, and no slice", () => {
    const reading = readingOf(recorded("mig"), 0, 5);
    assert.ok(reading);
    assert.equal(reading.migEnabled, true);
    assert.ok(!("utilization" in reading));
    assert.equal(reading.memoryUsedBytes, 37 * MIB);
    assert.equal(reading.eccUncorrected, 0);
    assert.deepEqual(reading.throttleReasons, ["gpu_idle"]);
    assert.equal(readingOf(recorded("mig"), "MIG-5c2a9d10", 5), undefined);
  });

  it("reads what older drivers call otherwise", () => {
    const reading = readingOf(recorded("old-driver"), 0, 5);
    assert.equal(reading?.powerWatts, 43.93);
    assert.deepEqual(reading.throttleReasons, ["hw_slowdown"]);
    assert.equal(reading.eccCorrected, 3);
    assert.equal(reading.eccUncorrected, 0);
    assert.deepEqual(reading.processes, [{ pid: 99, memoryBytes: 2033 * MIB }]);
  });

  it("leaves out what is not available, each by itself", () => {
    assert.deepEqual(readingOf(recorded("not-available"), 0, 5), {
      at: 5,
      uuid: "GPU-e2c0a7b8-5f3d-4b22-9e7a-1d8c9b6f4a01",
      name: "NVIDIA GeForce RTX 4060 Laptop GPU",
      utilization: 12,
      memoryTotalBytes: 8188 * MIB,
      processes: [{ pid: 4711, memoryBytes: undefined }],
    });
  });

  it("is nothing for a document of another shape", () => {
    for (const other of [undefined, null, "text", {}, { nvidia_smi_log: "" }, { nvidia_smi_log: { gpu: {} } }]) {
      assert.equal(readingOf(other, 0, 5), undefined);
    }
  });
});

describe("nvidia-smi sampler", () => {
  it("runs one nvidia-smi at a time, however often it is asked, and keeps its last reading", async () => {
    const callbacks: ((error: unknown, document: unknown) => void)[] = [];
    const sampler = nvidiaSmiSampler(
      (callback) => callbacks.push(callback),
      (gpus) => gpus.findIndex(({ uuid }) => uuid?.endsWith("02")),
      () => 7,
      60_000,
    );
    const both = [sampler.sample(), sampler.sample()];
    assert.equal(await sampler.read(), undefined);
    assert.equal(callbacks.length, 1);
    callbacks[0]?.(null, recorded("two-gpus"));
    const [first, second] = await Promise.all(both);
    assert.equal(first?.at, 7000);
    assert.equal(first.powerWatts, 76.08);
    assert.deepEqual(second, first);
    assert.deepEqual(await sampler.read(), first);
    assert.equal(callbacks.length, 1);
    void sampler.sample();
    assert.equal(callbacks.length, 2);
  });

  it("gives no sample, and starts no second one, while nvidia-smi hangs", async () => {
    let started = 0;
    const hung = nvidiaSmiSampler(
      () => void started++,
      () => 0,
      () => 7,
      1,
    );
    assert.equal(await hung.sample(), undefined);
    assert.equal(await hung.sample(), undefined);
    assert.equal(started, 1);
  });

  it("gives no sample when nvidia-smi fails", async () => {
    const sampler = nvidiaSmiSampler(
      (callback) => callback(new Error("exit status 9"), undefined),
      () => 0,
      () => 7,
      60_000,
    );
    assert.equal(await sampler.sample(), undefined);
  });
});
