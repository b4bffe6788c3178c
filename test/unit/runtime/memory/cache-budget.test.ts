import assert from "node:assert/strict";
import type { DeviceChoice, LoadOptions } from "../../../../src/protocol.js";
import { cacheBudget, checkWeights } from "../../../../src/runtime/memory/cache-budget.js";
import { FakeRunner } from "../../../support/fake-runner.js";

const GIB = 2 ** 30;
/** A GiB a sequence. */
const model = {
  ...new FakeRunner({ contextLength: 1024 }).model,
  kvBytesPerToken: 2 ** 20,
  kvTensorBytesPerToken: 2 ** 16,
};
const AUTO = { modelDir: "m", dtype: "auto", device: "auto", threads: 0, maxSequences: 4, kvMemory: GIB } as const;

const device = (provider: "cpu" | "cuda", kvCache: "cpu" | "cuda"): DeviceChoice => ({
  ...{ requested: "auto", provider, kvCache, reason: "" },
  ...(provider === "cuda" ? { deviceId: 1 } : {}),
});

/** A machine with a free GPU of 8 GiB; `told` says which memory was looked at. */
function budgetOf(on: DeviceChoice, options: LoadOptions, gpu: "read" | "silent" = "read") {
  const told: string[] = [];
  const readGpu = async (deviceId: number | undefined) => {
    told.push(`GPU ${deviceId}`);
    return gpu === "read" ? { used: GIB, total: 8 * GIB } : undefined;
  };
  const readHost = () => {
    told.push("host");
    return { used: 2 * GIB, total: 4 * GIB };
  };
  return cacheBudget({ device: on, model }, options, readGpu, readHost).then((budget) => ({ ...budget, told }));
}

describe("the cache's budget", () => {
  const share = { ...AUTO, gpuMemoryUtilization: 0.5 };

  it("is the GPU's where the cache lies there, and the machine's elsewhere", async () => {
    const onGpu = await budgetOf(device("cuda", "cuda"), share);
    assert.deepEqual(onGpu.told, ["GPU 1"]);
    assert.ok((onGpu.kvMemory ?? 0) > 2 * GIB && (onGpu.kvMemory ?? 0) < 3 * GIB);
    const onCpu = await budgetOf(device("cpu", "cpu"), share);
    assert.deepEqual(onCpu, { kvMemory: GIB, told: ["host"] });
  });

  it("is the machine's for a cache in single precision, beside a GPU that has room for runs", async () => {
    assert.deepEqual(await budgetOf(device("cuda", "cpu"), share), { kvMemory: GIB, told: ["GPU 1", "host"] });
    const full = { ...share, gpuMemoryUtilization: 0.1 };
    await assert.rejects(budgetOf(device("cuda", "cpu"), full), { code: "device_unavailable" });
  });

  it("is what was given for a GPU's cache, and where nobody reads the GPU", async () => {
    assert.deepEqual(await budgetOf(device("cuda", "cuda"), AUTO), { told: [] });
    assert.deepEqual(await budgetOf(device("cuda", "cuda"), share, "silent"), { told: ["GPU 1"] });
  });

  it("is what was given for the machine's, with a warning where it is too much", async () => {
    const { kvMemory, warnings } = await budgetOf(device("cpu", "cpu"), { ...AUTO, kvMemory: 3 * GIB });
    assert.equal(kvMemory, 3 * GIB);
    assert.match(warnings?.[0] ?? "", /^--kv-memory is 3\.0 GiB, but of this machine's 4\.0 GiB/);
  });

  it("is nobody's business where no memory is named at all", async () => {
    const { kvMemory: _, ...open } = AUTO;
    assert.deepEqual(await budgetOf(device("cpu", "cpu"), open), { told: [] });
  });
});

describe("weights", () => {
  it("are checked against the memory that they go to", async () => {
    const file = { path: "model.onnx", dtype: "fp32", weightBytes: 5 * GIB } as const;
    const gpu = async () => ({ used: 0, total: 6 * GIB });
    const host = () => ({ used: 0, total: 4 * GIB });
    await checkWeights(file, device("cuda", "cuda"), 0.9, gpu, host);
    await assert.rejects(checkWeights(file, device("cuda", "cuda"), 0.5, gpu, host), /of the GPU's 6\.0 GiB, 50 %/);
    await assert.rejects(
      checkWeights(file, device("cpu", "cpu"), 0.9, gpu, host),
      /4\.0 GiB of memory in this machine/,
    );
    await checkWeights(file, device("cuda", "cuda"), 0.9, async () => undefined, host);
  });
});
