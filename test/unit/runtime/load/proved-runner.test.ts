import assert from "node:assert/strict";
import type { RowLogits, RunnerRow } from "../../../../src/engine/runner.js";
import type { DeviceChoice, LoadOptions, LoadPhase, RuntimeChoice } from "../../../../src/protocol.js";
import { provedRunner, type TimedPhase } from "../../../../src/runtime/load/proved-runner.js";
import type { OtherWay } from "../../../../src/runtime/native/rehearsal.js";
import { FakeRunner, type FakeRunnerOptions, hashedLogits } from "../../../support/fake-runner.js";

const OPTIONS: LoadOptions = { modelDir: "x", dtype: "auto", device: "auto", threads: 0, maxSequences: 4 };
const CUDA: DeviceChoice = { requested: "auto", provider: "cuda", deviceId: 1, reason: "It is here." };

class RunnerOn extends FakeRunner {
  replay?: OtherWay;

  constructor(runtime: Pick<RuntimeChoice, "requested" | "kind" | "reason">, options: FakeRunnerOptions, on = CUDA) {
    super({ logits: hashedLogits, vocabSize: 300, contextLength: 64, ...options });
    Object.assign(this, { device: { ...on, runtime } });
  }
}

const native = (options: FakeRunnerOptions = {}, requested: RuntimeChoice["requested"] = "auto", on?: DeviceChoice) =>
  new RunnerOn({ requested, kind: "native", reason: "It fits." }, options, on);

/** A load that makes `first`, and onnxruntime-node's runner where that is not wanted. */
async function load(first: RunnerOn, secondOptions: FakeRunnerOptions = {}) {
  const phases: Pick<LoadPhase, "name" | "rehearsal">[] = [];
  const made: FakeRunner[] = [];
  const timed: TimedPhase = async (name, work, details) => {
    phases.push({ name });
    const result = await work();
    phases[phases.length - 1] = { name, ...details?.(result) };
    return result;
  };
  const create = async (unproved?: string) => {
    const second = (reason: string) => new RunnerOn({ requested: "auto", kind: "node", reason }, secondOptions);
    made.push(unproved === undefined ? first : second(unproved));
    return made.at(-1) as FakeRunner;
  };
  const warmUp = async (runner: { run(rows: readonly RunnerRow[]): Promise<readonly RowLogits[]> }) => {
    first.reserve(4, 64);
    made.at(-1)?.reserve(4, 64);
    await runner.run([{ slot: 0, tokens: Int32Array.of(1, 2), past: 0 }]);
    made.at(-1)?.release(0);
  };
  const outcome = provedRunner({ options: OPTIONS, timed, create, warmUp, isOnTrial: undefined });
  return { outcome, phases, made };
}

const same: FakeRunnerOptions = { logits: (_, vocabSize) => new Float32Array(vocabSize).map((_, id) => id % 7) };

describe("a runner that has proved itself", () => {
  it("is the native one on a device, with what it passed in its reason and in the phase", async () => {
    const { outcome, phases } = await load(native());
    const { runner, device } = await outcome;
    assert.equal(device.runtime?.kind, "native");
    assert.equal(
      device.runtime?.reason,
      "It fits. It passed its rehearsal on cuda:1 (8 checks, the largest difference 0 % of that to another text).",
    );
    assert.deepEqual(phases, [
      { name: "session.create" },
      { name: "warmup" },
      { name: "rehearsal", rehearsal: { checks: 8, largestError: 0, failed: [] } },
    ]);
    assert.equal((runner as FakeRunner).disposed, false);
  });

  it("is onnxruntime-node's where the native one failed, which is disposed first", async () => {
    const { outcome, phases, made } = await load(native(same));
    const { runner, device } = await outcome;
    assert.deepEqual([made[0]?.disposed, runner === made[1], made[1]?.disposed], [true, true, false]);
    assert.equal(
      device.runtime?.reason,
      "The native runtime failed its rehearsal on cuda:1: a run read the inputs of another " +
        '(check "inputs": logits after different texts are the same).',
    );
    const names = phases.map(({ name }) => name);
    assert.deepEqual(names, ["session.create", "warmup", "rehearsal", "session.create", "warmup"]);
    assert.deepEqual(phases[2]?.rehearsal, { checks: 1, failed: ["inputs"] });
  });

  const runs: [number, RegExp][] = [
    [1, /on cuda:1: it could not run the model \(CUDA error 999\)\.$/],
    [9, /on cuda:1: a prompt token by token was not .+ \(check "tokens": it ended with "CUDA error 999"\)\.$/],
  ];
  for (const [failing, message] of runs) {
    it(`is for another process to make where run ${failing} of the native one failed`, async () => {
      const beforeRun = (run: number): void => {
        if (run === failing) throw new Error("CUDA error 999.");
      };
      const { outcome, made } = await load(native({ beforeRun }));
      await assert.rejects(outcome, { code: "native_failed", message });
      assert.deepEqual([made.length, made[0]?.disposed], [1, true]);
      const { outcome: byName } = await load(native({ beforeRun }, "native"));
      await assert.rejects(byName, {
        code: "device_unavailable",
        message: /CUDA error 999.+ Ask for --runtime node\.$/,
      });
    });
  }

  it("is an error where the native one was asked for by name, and says what to do", async () => {
    const { outcome, made } = await load(native(same, "native"));
    const message = /failed its rehearsal on cuda:1: .+check "inputs".+ Ask for --runtime node\.$/;
    await assert.rejects(outcome, { code: "device_unavailable", message, details: { param: "runtime" } });
    assert.deepEqual([made.length, made[0]?.disposed], [1, true]);
  });

  it("does not rehearse on the CPU, nor onnxruntime-node's binding", async () => {
    const cpu: DeviceChoice = { requested: "cpu", provider: "cpu", reason: "" };
    for (const runner of [native({}, "auto", cpu), new RunnerOn({ requested: "node", kind: "node", reason: "" }, {})]) {
      const { outcome, phases } = await load(runner);
      const { device } = await outcome;
      assert.deepEqual(device, runner.device);
      assert.deepEqual(phases, [{ name: "session.create" }, { name: "warmup" }]);
    }
  });

  it("disposes the last one, too, where that fails", async () => {
    const beforeRun = (): never => {
      throw new Error("no");
    };
    const { outcome, made } = await load(native(same), { beforeRun });
    await assert.rejects(outcome, { message: "no" });
    assert.deepEqual(
      made.map(({ disposed }) => disposed),
      [true, true],
    );
  });

  describe("with another way to take steps", () => {
    const uses: boolean[] = [];
    const stops: string[] = [];
    const replaying = (options: FakeRunnerOptions = {}) => {
      uses.length = stops.length = 0;
      const runner = native(options);
      runner.replay = { stepsBefore: 1, use: (on) => void uses.push(on), stop: (reason) => void stops.push(reason) };
      return runner;
    };

    it("is for another process to make where a replayed run failed", async () => {
      const beforeRun = (): void => {
        if (uses.at(-1) === true) throw new Error("CUDA error 700");
      };
      const { outcome } = await load(replaying({ beforeRun }));
      await assert.rejects(outcome, {
        code: "native_failed",
        message: /check "replay": it ended with "CUDA error 700"/,
      });
    });

    it("takes it once that has passed", async () => {
      const { outcome } = await load(replaying());
      await outcome;
      assert.equal(uses.at(-1), true);
      assert.deepEqual(stops, []);
    });

    it("goes on without it where it failed, and says why", async () => {
      const wrong: FakeRunnerOptions = {
        logits: (history, vocab) => hashedLogits(uses.at(-1) === true ? [1] : history, vocab),
      };
      const { outcome } = await load(replaying(wrong));
      const { device } = await outcome;
      assert.equal(uses.at(-1), false);
      assert.equal(device.runtime?.kind, "native");
      assert.equal(stops.length, 1);
      assert.match(stops[0] ?? "", /^It failed its rehearsal: replayed steps were not plain ones \(check.+\)\.$/);
    });
  });
});
