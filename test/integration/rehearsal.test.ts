/** The rehearsal of a device, on the CPU: what is right passes, and each thing that can be silently wrong is found. */
import assert from "node:assert/strict";
import { OrtBinding, OrtMemory, OrtTensor } from "../../native/ort.js";
import type { ModelRunner } from "../../src/engine/runner.js";
import type { Dtype, LoadOptions, LoadPhaseName } from "../../src/protocol.js";
import { findGraphFile } from "../../src/runtime/files/graph-file.js";
import { openModelDirectory, resolveModelDirectory } from "../../src/runtime/files/model-directory.js";
import { readGraph, rewriteGraph } from "../../src/runtime/graph/prepare-graph.js";
import { loadModel } from "../../src/runtime/load/load-model.js";
import { createNativeRunner, type DeviceParts } from "../../src/runtime/native/native-runner.js";
import { rehearse } from "../../src/runtime/native/rehearsal.js";
import { hasPassed, type RehearsalCheck } from "../../src/runtime/native/rehearsal-check.js";
import { SlotCache } from "../../src/runtime/native/slot-cache.js";
import type { InputCopy, InputDevice } from "../../src/runtime/native/step-input.js";
import { standInDevice } from "../support/captured-runs.js";
import { widenBfloat16 } from "../support/widen-bfloat16.js";
import { dtypeOf, parityGraphs } from "./parity-fixtures.js";

const CPU = { requested: "cpu", provider: "cpu", reason: "" } as const;
const TINY = resolveModelDirectory("tiny");

async function open(directoryPath: string, dtype: Dtype, path?: string, parts: Partial<DeviceParts> = {}) {
  const directory = openModelDirectory(directoryPath);
  const file = findGraphFile(directory.path, dtype, "cpu");
  const { ropeSwitch } = directory.config;
  const rewrites = { attention: directory.config, lengths: true, ...(ropeSwitch === undefined ? {} : { ropeSwitch }) };
  const read = readGraph({ ...file, path: path ?? file.path });
  const rewritten = rewriteGraph(read, rewrites);
  // The CPU has no kernels for bfloat16.
  const graph = read.bfloat16 ? widenBfloat16(rewritten) : rewritten;
  return createNativeRunner({ directory, graph, device: CPU, threads: 1, maxSequences: 4 }, parts);
}

async function rehearsed(runner: ModelRunner): Promise<readonly RehearsalCheck[]> {
  try {
    return await rehearse(runner, 4);
  } finally {
    await runner.dispose();
  }
}

const failed = (checks: readonly RehearsalCheck[]): string[] =>
  checks.filter((check) => !hasPassed(check)).map(({ name }) => name);

const told = (checks: readonly RehearsalCheck[]): string =>
  checks.map(({ name, error }) => `${name} ${error}`).join(", ");

describe("rehearsal of the native runtime", function () {
  this.timeout(60_000);
  const PLAYED = ["inputs", "chunks", "tokens", "batch", "moves", "growth", "copy", "long"];

  describe("is passed", () => {
    for (const dtype of ["fp32", "fp16", "q4", "q4f16", "int8"] as const) {
      it(`by the shipped model as ${dtype}`, async () => {
        const checks = await rehearsed(await open(TINY, dtype));
        assert.deepEqual(
          checks.map(({ name }) => name),
          PLAYED,
        );
        assert.deepEqual(failed(checks), [], told(checks));
      });
    }

    for (const { name, directory, file, path } of parityGraphs()) {
      it(`by ${name}`, async () => {
        const checks = await rehearsed(await open(directory, dtypeOf(file), path));
        assert.deepEqual(
          checks.map((check) => check.name),
          PLAYED,
        );
        assert.deepEqual(failed(checks), [], told(checks));
      });
    }
  });

  const undo: (() => void)[] = [];
  afterEach(() => {
    for (const restore of undo.splice(0)) restore();
  });

  function replace<Owner extends object, Name extends keyof Owner>(owner: Owner, name: Name, value: Owner[Name]): void {
    const original = Object.getOwnPropertyDescriptor(owner, name) as PropertyDescriptor;
    Object.defineProperty(owner, name, { ...original, value });
    undo.push(() => Object.defineProperty(owner, name, original));
  }

  /** Single-precision memory is clear, and stays so, where the cache copies to while it does that. */
  function copyNothingIn(name: "copy" | "reserve" | "arrange"): void {
    const original = SlotCache.prototype[name] as (...args: unknown[]) => void;
    const silent = function (this: SlotCache, ...args: unknown[]): void {
      Object.defineProperty(Float32Array.prototype, "set", { value: clear, configurable: true });
      try {
        original.apply(this, args);
      } finally {
        Reflect.deleteProperty(Float32Array.prototype, "set");
      }
    };
    replace(SlotCache.prototype, name, silent as never);
  }

  /** Of each size and place inputs reach the device once: they stay what they were then. */
  function sendOnce(): InputDevice {
    const device = standInDevice();
    const sent = new WeakMap<OrtTensor, Set<string>>();
    const isFirst = ({ target, from, size }: InputCopy): boolean => {
      const places = sent.get(target) ?? new Set<string>();
      sent.set(target, places);
      return places.size < places.add(`${from}+${size}`).size;
    };
    return { ...device, send: (copies) => device.send([...copies].filter(isFirst)) };
  }

  function clear(this: Float32Array, source: ArrayLike<number>, at = 0): void {
    this.fill(0, at, at + source.length);
  }

  let memory: OrtMemory;
  before(async () => {
    const { startOrt } = await import("../../src/runtime/native/native-session.js");
    memory = OrtMemory.cpu(await startOrt());
  });

  function copied(tensor: OrtTensor): OrtTensor {
    const copy = OrtTensor.allocate(memory, tensor.type, tensor.shape);
    (copy.data as BigInt64Array).set(tensor.data as BigInt64Array);
    return copy;
  }

  /** Present goes elsewhere than past, so that the cache is never written. */
  function keepCacheApart(): void {
    const bind = OrtBinding.prototype.bindOutput;
    const apart = function (this: OrtBinding, name: string, tensor: OrtTensor): void {
      bind.call(this, name, name.startsWith("present") ? copied(tensor) : tensor);
    };
    replace(OrtBinding.prototype, "bindOutput", apart);
  }

  const faults: [string, () => void, string[]][] = [
    ["a cache that is not shared", keepCacheApart, ["chunks", "tokens", "batch", "moves", "growth", "copy", "long"]],
    ["growth that copies nothing", () => copyNothingIn("reserve"), ["growth", "copy"]],
    ["rows that move without what they hold", () => copyNothingIn("arrange"), ["moves", "growth", "copy"]],
    ["a copied prefix that is not there", () => copyNothingIn("copy"), ["copy"]],
  ];
  for (const [name, break_, wanted] of faults) {
    for (const dtype of ["fp32", "q4"] as const) {
      it(`finds ${name}, in ${dtype}`, async () => {
        const runner = await open(TINY, dtype);
        break_();
        const checks = await rehearsed(runner);
        assert.deepEqual(failed(checks), wanted, told(checks));
      });
    }
  }

  for (const dtype of ["fp32", "q4"] as const) {
    it(`finds inputs that are sent once, in ${dtype}`, async () => {
      const checks = await rehearsed(await open(TINY, dtype, undefined, { openInputs: sendOnce }));
      assert.deepEqual(failed(checks), ["inputs"], told(checks));
    });
  }

  describe("as a model is loaded", () => {
    const load = async (runtime: LoadOptions["runtime"] = "auto", nativeFailure?: string) => {
      const heard: LoadPhaseName[] = [];
      const how = { runtime, ...(nativeFailure === undefined ? {} : { nativeFailure }) };
      const options: LoadOptions = {
        modelDir: TINY,
        dtype: "fp32",
        device: "cpu",
        threads: 1,
        maxSequences: 2,
        ...how,
      };
      let now = 0;
      const loaded = await loadModel(
        options,
        () => now++,
        (phase) => void heard.push(phase),
        () => true,
      );
      undo.push(() => void loaded.runner.dispose());
      return { ...loaded, heard };
    };

    it("lets the native runtime serve, and tells so", async () => {
      const { device, phases, heard } = await load();
      assert.deepEqual(heard, ["session.create", "warmup", "rehearsal"]);
      assert.equal(device.runtime?.kind, "native");
      assert.match(device.runtime?.reason ?? "", /^The graph updates its KV cache in place\. It passed .+8 checks, /);
      const { rehearsal } = phases.at(-1) ?? {};
      assert.deepEqual([rehearsal?.checks, rehearsal?.failed], [8, []]);
      assert.ok((rehearsal?.largestError ?? 1) < 1e-4);
    });

    it("gives way to onnxruntime-node where it fails, with the reason", async () => {
      keepCacheApart();
      const { runner, device, heard } = await load();
      assert.deepEqual(heard, ["session.create", "warmup", "rehearsal", "session.create", "warmup"]);
      assert.deepEqual(device, runner.device);
      assert.deepEqual([device.runtime?.requested, device.runtime?.kind], ["auto", "node"]);
      assert.match(
        device.runtime?.reason ?? "",
        /^The native runtime failed its rehearsal on cpu: a prompt in pieces was not the prompt in one/,
      );
      const [logits] = await runner.run([{ slot: 0, tokens: Int32Array.of(5, 40), past: 0 }]);
      assert.equal(logits?.all().length, runner.model.vocabSize);
    });

    it("leaves the other runtime to another process where a run failed, which does as it is told", async () => {
      const fail = (): never => {
        throw new Error("out of luck");
      };
      replace(OrtBinding.prototype, "run", fail);
      replace(OrtBinding.prototype, "runAsync", fail);
      await assert.rejects(load(), { code: "native_failed", message: /it could not run the model \(out of luck\)/ });
      const { device, heard } = await load("auto", "It failed before.");
      assert.deepEqual(device.runtime, { requested: "auto", kind: "node", reason: "It failed before." });
      assert.deepEqual(heard, ["session.create", "warmup"]);
    });

    it("is an error where the native runtime was asked for by name", async () => {
      keepCacheApart();
      const message =
        /failed its rehearsal on cpu: a prompt in pieces was not the prompt in one \(check "chunks": .+ also failed: tokens, .+ Ask for --runtime node\.$/;
      await assert.rejects(load("native"), { code: "device_unavailable", message });
    });
  });
});
