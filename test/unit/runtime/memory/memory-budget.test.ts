import assert from "node:assert/strict";
import type { DeviceChoice } from "../../../../src/protocol.js";
import { gpuBudget, hostBudget, type Load, refuseWeights } from "../../../../src/runtime/memory/memory-budget.js";

const [MIB, GIB] = [2 ** 20, 2 ** 30];

/** 2 GiB a sequence of the whole context, in 64 tensors; logits of 32 rows take 16 MiB. */
const model = {
  name: "chat",
  contextLength: 32_768,
  kvBytesPerToken: 65_536,
  kvTensorBytesPerToken: 1_024,
  vocabSize: 131_072,
};

const load = (provider: "cpu" | "cuda", kvCache: "cpu" | "cuda", kind: "native" | "node" = "native"): Load => {
  const runtime: DeviceChoice["runtime"] = { requested: "auto", kind, reason: "" };
  return { model, device: { provider, kvCache, runtime }, maxSequences: 32 };
};

const [ON_GPU, FP32_ON_GPU, NODE_ON_GPU] = [load("cuda", "cuda"), load("cuda", "cpu"), load("cuda", "cpu", "node")];
const [ON_CPU, NODE_ON_CPU] = [load("cpu", "cpu"), load("cpu", "cpu", "node")];

const refusal = (numbers: readonly string[], cures: RegExp) => (error: { code: string; message: string }) => {
  assert.equal(error.code, "device_unavailable");
  for (const said of numbers) assert.ok(error.message.includes(said), `${said} is not in: ${error.message}`);
  assert.match(error.message, cures);
  return true;
};

describe("a GPU's budget", () => {
  it("is what is left of its share, so that the cache can grow to it", () => {
    const bytes = gpuBudget({ used: 10 * GIB, total: 40 * GIB }, 0.9, ON_GPU);
    const runs = (16 + 32) * MIB + 32 * 64 * 12;
    // The largest tensor is there twice for a moment, and two rows of one tensor are aside.
    const atMost = bytes + bytes / 64 + 2 * 32 * MIB + runs;
    const left = 36 * GIB - 10 * GIB;
    assert.ok(atMost <= left && atMost > left - 100, `${left - atMost} bytes are left over`);
  });

  it("is nothing where the cache lies in the machine's memory, if runs have room", () => {
    assert.equal(gpuBudget({ used: 10 * GIB, total: 40 * GIB }, 0.9, FP32_ON_GPU), 0);
    assert.equal(gpuBudget({ used: 31 * GIB, total: 40 * GIB }, 0.9, NODE_ON_GPU), 0);
  });

  const full = { used: 20 * GIB, total: 24 * GIB };
  const of = ["24.0 GiB", "90 %", "20.0 GiB"];
  const cures = /smaller dtype.*--gpu-memory-utilization.*--kv-memory/;
  for (const [what, memory, wanted, numbers] of [
    [
      "one sequence does not fit",
      full,
      ON_GPU,
      [
        ...of,
        "16 MiB go to logits",
        "32 MiB go to log",
        "96 MiB go to moving",
        "1.5 GiB for",
        "32768 tokens",
        "2.0 GiB",
      ],
    ],
    ["nothing is left", { used: 23 * GIB, total: 24 * GIB }, ON_GPU, ["leaves 0 MiB"]],
    ["a run's copies do not fit", full, NODE_ON_GPU, [...of, "4.0 GiB go to a run's two copies", "2.4 GiB too much"]],
    ["logits do not fit", { used: 21.58 * GIB, total: 24 * GIB }, FP32_ON_GPU, ["16 MiB go to logits", "MiB too much"]],
  ] as const) {
    it(`refuses where ${what}, with the numbers and the cures`, () => {
      assert.throws(() => gpuBudget(memory, 0.9, wanted), refusal(numbers, cures));
    });
  }
});

describe("this machine's budget", () => {
  const roomy = { used: 4 * GIB, total: 40 * GIB };

  it("is what is asked for where there is as much", () => {
    for (const wanted of [ON_CPU, NODE_ON_CPU, FP32_ON_GPU, NODE_ON_GPU]) {
      assert.deepEqual(hostBudget(roomy, 10 * GIB, false, wanted), { bytes: 10 * GIB });
      assert.deepEqual(hostBudget(roomy, 10 * GIB, true, wanted), { bytes: 10 * GIB });
    }
  });

  it("is what is free, with room to grow, where that is less and nobody insists", () => {
    const tight = { used: 35 * GIB, total: 40 * GIB };
    const left = 0.95 * 40 * GIB - 35 * GIB;
    const { bytes } = hostBudget(tight, 10 * GIB, false, ON_CPU);
    const atMost = bytes + bytes / 64 + (2 * 32 + 16 + 32) * MIB;
    assert.ok(atMost <= left && atMost > left - 100, `${left - atMost} bytes are left over`);
    // Each run has a present beside the past.
    assert.equal(hostBudget(tight, 10 * GIB, false, NODE_ON_CPU).bytes, left - 2 * GIB);
    // Logits are on the GPU.
    const onGpu = hostBudget(tight, 10 * GIB, false, FP32_ON_GPU).bytes;
    assert.ok(onGpu > bytes && onGpu < bytes + 50 * MIB);
  });

  it("moves no longer rows than it holds", () => {
    const left = 0.95 * 40 * GIB - 37 * GIB;
    const { bytes } = hostBudget({ used: 37 * GIB, total: 40 * GIB }, 10 * GIB, false, ON_CPU);
    const atMost = bytes + (3 * bytes) / 64 + (16 + 32) * MIB;
    assert.ok(bytes < 2 * GIB && atMost <= left && atMost > left - 100, `${left - atMost} bytes are left over`);
  });

  it("takes what it can never grow to for no wish", () => {
    const few = { ...ON_CPU, maxSequences: 1 };
    assert.deepEqual(hostBudget({ used: 35 * GIB, total: 40 * GIB }, 10 * GIB, true, few), { bytes: 10 * GIB });
  });

  it("is what somebody insists on, with a warning where that may not be there", () => {
    const { bytes, warning } = hostBudget({ used: 35 * GIB, total: 40 * GIB }, 10 * GIB, true, ON_CPU);
    assert.equal(bytes, 10 * GIB);
    for (const said of ["--kv-memory is 10.0 GiB", "40.0 GiB", "35.0 GiB", "16 MiB", "3.0 GiB", "may be killed"]) {
      assert.ok(warning?.includes(said), `${said} is not in: ${warning}`);
    }
  });

  it("serves shorter sequences, and refuses where even those do not fit", () => {
    const { bytes } = hostBudget({ used: 37 * GIB, total: 40 * GIB }, 10 * GIB, false, ON_CPU);
    assert.ok(bytes > 256 * 65_536 && bytes < 2 * GIB);
    assert.throws(
      () => hostBudget({ used: 37.96 * GIB, total: 40 * GIB }, 10 * GIB, false, ON_CPU),
      refusal(
        ["40.0 GiB", "38.0 GiB", "16 MiB go to logits", "leaves 0 MiB", "2.0 GiB"],
        /smaller dtype or model.*more memory/,
      ),
    );
  });
});

describe("weights", () => {
  it("are refused where they are larger than all the memory there is", () => {
    const state = { used: 7 * GIB, total: 8 * GIB };
    refuseWeights("model.onnx", 8 * GIB, state);
    assert.throws(
      () => refuseWeights("model.onnx", 9 * GIB, state),
      refusal(["model.onnx", "9.0 GiB", "8.0 GiB of memory in this machine or its container"], /--dtype q4/),
    );
    assert.throws(
      () => refuseWeights("model.onnx", 7.5 * GIB, state, 0.9),
      refusal(["7.5 GiB", "of the GPU's 8.0 GiB, 90 % may be used"], /smaller dtype/),
    );
  });
});
