/** The native runner with cache and logits in a device's memory, as far as a stub of the driver is a device. */
import assert from "node:assert/strict";
import { CudaStream } from "../../native/ort.js";
import type { ModelRunner, RunnerRow } from "../../src/engine/runner.js";
import type { DeviceChoice } from "../../src/protocol.js";
import { findGraphFile } from "../../src/runtime/files/graph-file.js";
import { openModelDirectory, resolveModelDirectory } from "../../src/runtime/files/model-directory.js";
import { prepareGraph } from "../../src/runtime/graph/prepare-graph.js";
import { DeviceLogits } from "../../src/runtime/native/device-logits.js";
import { createNativeRunner } from "../../src/runtime/native/native-runner.js";
import { rehearse } from "../../src/runtime/native/rehearsal.js";
import { explainRehearsal, hasPassed } from "../../src/runtime/native/rehearsal-check.js";
import { measureCacheMoves } from "../gpu/check/cache-moves.js";
import type { CheckRow } from "../gpu/check/check-row.js";
import { settingsFor } from "../gpu/check/settings.js";
import { compiler } from "../support/compile-library.js";
import { type CudaStub, openCudaStub } from "../support/cuda-stub.js";
import { installLateDevice } from "../support/late-device.js";
import { requirePart } from "../support/requirements.js";

const CPU: DeviceChoice = { requested: "cpu", provider: "cpu", reason: "" };
const CUDA: DeviceChoice = {
  requested: "cuda",
  provider: "cuda",
  reason: "",
  deviceId: 1,
  runtime: { requested: "native" } as NonNullable<DeviceChoice["runtime"]>,
};
const SLOTS = 5;
const VOCABULARY = 256;

async function open(device: DeviceChoice): Promise<ModelRunner> {
  const directory = openModelDirectory(resolveModelDirectory("tiny"));
  const graph = prepareGraph(findGraphFile(directory.path, "fp16", "cpu"));
  return createNativeRunner({ directory, graph, device, threads: 1, maxSequences: SLOTS });
}

/** Whole numbers below a limit, always the same. */
function randoms(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

describe("native runner on a device that copies late", function () {
  this.timeout(30_000);
  let stub: CudaStub;
  let uninstall: () => void;
  let device: ModelRunner;
  let cpu: ModelRunner;

  before(function () {
    requirePart(this, compiler());
    stub = openCudaStub();
    uninstall = installLateDevice(stub);
  });
  after(() => uninstall?.());
  beforeEach(async () => {
    stub.limit(1 << 30);
    [device, cpu] = await Promise.all([open(CUDA), open(CPU)]);
  });
  afterEach(async () => {
    await device?.dispose();
    await cpu?.dispose();
    assert.deepEqual([stub.count("faults"), stub.fault()], [0, ""]);
    assert.equal(stub.count("allocated"), 0, "all memory is back; the stream stays");
  });

  /** Both get the same, and give the same, wherever it is read from. */
  async function step(rows: readonly RunnerRow[]): Promise<void> {
    const [got, wanted] = [await device.run(rows), await cpu.run(rows)];
    for (const [index, { slot }] of rows.entries()) {
      const [all, expected] = [got[index]?.all() as Float32Array, wanted[index]?.all() as Float32Array];
      assert.deepEqual(all, expected, `slot ${slot}`);
      const top = got[index]?.top;
      if (top)
        assert.deepEqual(
          [...top.logits],
          [...top.ids].map((id) => expected[id]),
        );
    }
  }

  it("gives the CPU's logits through prompts, steps, shared beginnings, moves and growth", async () => {
    const below = randoms(7);
    const lengths = new Map<number, number>();
    for (let round = 0; round < 80; round++) {
      const rows: RunnerRow[] = [];
      for (let slot = 0; slot < SLOTS; slot++) {
        const past = lengths.get(slot);
        const prompt = (size: number) => Int32Array.from({ length: size }, () => below(VOCABULARY));
        if (past !== undefined && below(10) === 0) {
          for (const runner of [device, cpu]) runner.release(slot);
          lengths.delete(slot);
        } else if (past === undefined && below(3) === 0) {
          const [from, shared] = [...lengths][below(9)] ?? [];
          if (from !== undefined && shared !== undefined) {
            for (const runner of [device, cpu]) runner.copy(from, slot, shared);
            rows.push({ slot, tokens: prompt(1 + below(4)), past: shared });
          } else rows.push({ slot, tokens: prompt(2 + below(30)), past: 0 });
        } else if (past !== undefined && below(4) > 0)
          rows.push({ slot, tokens: prompt(1), past, top: below(2) === 0 });
      }
      if (rows.length === 0) continue;
      await step(rows);
      for (const { slot, past, tokens } of rows) lengths.set(slot, past + tokens.length);
      if (round % 20 === 10) for (const runner of [device, cpu]) runner.reserve(SLOTS, 300 + round);
    }
    assert.ok(stub.count("cuMemcpy2DAsync_v2") > 100, "nothing was moved");
  });

  describe("in its rehearsal", () => {
    /** Names of the checks that fail while one of the device's calls, or what it gives, is another. */
    async function failedWith<Owner extends object, Name extends keyof Owner>(
      owner: Owner,
      name: Name,
      change: (original: Owner[Name]) => Owner[Name],
    ): Promise<string[]> {
      const original = owner[name];
      owner[name] = change(original);
      try {
        return (await rehearse(device, SLOTS)).filter((check) => !hasPassed(check)).map((check) => check.name);
      } finally {
        owner[name] = original;
      }
    }

    it("passes, with the likeliest tokens as the device chose them", async () => {
      const checks = await rehearse(device, SLOTS);
      assert.equal(explainRehearsal(checks), undefined);
      const names = ["inputs", "chunks", "tokens", "batch", "moves", "growth", "candidates", "copy", "long"];
      assert.deepEqual(
        checks.map((check) => check.name),
        names,
      );
    });

    it("is found to choose tokens that are not the likeliest", async () => {
      const failed = await failedWith(
        DeviceLogits.prototype,
        "top",
        (top) =>
          function (this: DeviceLogits, ...args) {
            return top.apply(this, args).map(({ ids, logits }) => ({ ids: ids.toReversed(), logits }));
          },
      );
      assert.deepEqual(failed, ["candidates"]);
    });

    it("is found to copy nothing within the device", async () => {
      const failed = await failedWith(CudaStream.prototype, "copyBlocks", () => () => {});
      for (const name of ["moves", "growth", "copy"]) assert.ok(failed.includes(name), failed.join(" "));
    });

    it("is found to read logits before they are there", async () => {
      const failed = await failedWith(CudaStream.prototype, "copyToHost", () => () => {});
      assert.deepEqual(failed, ["inputs"]);
    });
  });

  it("is what gpu:check would find right on a device", async () => {
    const rows: CheckRow[] = [];
    const { shape } = settingsFor("cpu");
    const settings = { ...settingsFor("cuda:0"), shape, context: 32 };
    await measureCacheMoves({ settings, model: "", tell: (row) => rows.push(row) });
    const judged = rows.filter(({ met }) => met !== undefined).map(({ name, value, met }) => [name, value, met]);
    assert.deepEqual(judged, [
      ["cache: wrong tokens after that", 0, true],
      ["cache: share of its memory given back", 1, true],
    ]);
  });

  it("says that the device is lost, in a step, in growing and in reading logits", async () => {
    const tokens = Int32Array.of(5, 40, 7, 30, 21);
    await step([{ slot: 0, tokens, past: 0 }]);
    const [row] = await device.run([{ slot: 0, tokens: Int32Array.of(3), past: 5 }]);
    stub.fail("cuStreamSynchronize", 700, 1, 1000);
    const lost = { code: "engine_lost", message: /^The GPU is lost .*CUDA_ERROR_ILLEGAL_ADDRESS/ };
    try {
      assert.throws(() => row?.all(), lost);
      await assert.rejects(device.run([{ slot: 0, tokens: Int32Array.of(3), past: 5 }]), lost);
      stub.fail("cuMemAlloc_v2", 700, 1, 1000);
      assert.throws(() => device.reserve(SLOTS, 2000), lost);
    } finally {
      stub.fail("cuMemAlloc_v2", 0, 1, 0);
      stub.fail("cuStreamSynchronize", 0, 1, 0);
    }
  });

  const shortages: [string, () => void][] = [
    ["for some of the cache", () => stub.limit(stub.count("allocated") * 3)],
    // Room for a row, keys and values of each layer; what comes then is for logits.
    ["for the cache and not for logits", () => stub.fail("cuMemAlloc_v2", 2, 2 + 2 * device.model.layers)],
  ];
  for (const [what, runShort] of shortages) {
    it(`goes on as before where the device has memory ${what}`, async () => {
      const tokens = Int32Array.of(5, 40, 7, 30, 21);
      await step([{ slot: 0, tokens, past: 0 }]);
      await step([{ slot: 1, tokens: tokens.subarray(1), past: 0 }]);
      await step([{ slot: 0, tokens: Int32Array.of(3), past: 5, top: true }]);
      const before = stub.count("allocated");
      runShort();
      assert.throws(() => device.reserve(SLOTS, 2000), { message: /CUDA could not allocate/ });
      stub.limit(before);
      await step([
        { slot: 1, tokens: Int32Array.of(9), past: 4, top: true },
        { slot: 0, tokens: Int32Array.of(8), past: 6 },
      ]);
      assert.equal(stub.count("allocated"), before);
    });
  }
});
