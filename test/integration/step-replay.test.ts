/** Decode steps that are captured and replayed, against plain ones: the whole runner, with the CPU in a device's place. */
import assert from "node:assert/strict";
import type { ModelRunner, RunnerRow } from "../../src/engine/runner.js";
import { findGraphFile } from "../../src/runtime/files/graph-file.js";
import { openModelDirectory } from "../../src/runtime/files/model-directory.js";
import { prepareGraph } from "../../src/runtime/graph/prepare-graph.js";
import { createNativeRunner } from "../../src/runtime/native/native-runner.js";
import { rehearse } from "../../src/runtime/native/rehearsal.js";
import { hasPassed } from "../../src/runtime/native/rehearsal-check.js";
import { type CapturedRuns, captureRuns, standInDevice } from "../support/captured-runs.js";
import { DECODER_CONFIG, temporaryFolders, writeFiles } from "../support/model-fixture.js";
import { buildDecoder, type DecoderSpec } from "../support/onnx-builder.js";
import { runLogits } from "../support/run-logits.js";

const CPU = { requested: "cpu", provider: "cpu", reason: "" } as const;
const SLOTS = 12;
const CONTEXT = 64;
const VOCABULARY = 32;
/** Steps of one batch size that are taken plainly before it is captured. */
const BEFORE = 16;

const folder = temporaryFolders();

describe("replayed decode steps", () => {
  let runs: CapturedRuns;
  const opened: ModelRunner[] = [];
  beforeEach(() => {
    runs = captureRuns();
  });
  afterEach(async () => {
    for (const runner of opened.splice(0)) await runner.dispose();
    runs.restore();
  });

  function modelOf(spec: DecoderSpec): string {
    return writeFiles(folder(), { "config.json": DECODER_CONFIG, "onnx/model.onnx": buildDecoder(spec).graph });
  }

  async function open(path: string, replay: boolean) {
    const directory = openModelDirectory(path);
    const graph = prepareGraph(findGraphFile(path, "fp32", "cpu"), { lengths: true });
    const options = { directory, graph, device: CPU, threads: 1, maxSequences: SLOTS };
    const runner = await createNativeRunner(options, replay ? { openInputs: () => standInDevice() } : {});
    opened.push(runner);
    return runner;
  }

  /** A runner that replays and one that does not, in step; throws where they differ. */
  async function pair(spec: DecoderSpec = {}) {
    const path = modelOf(spec);
    const [replaying, plain] = [await open(path, true), await open(path, false)];
    const held = new Array<number>(SLOTS).fill(0);
    let drawn = 7;
    const draw = (): number => {
      drawn = (Math.imul(drawn, 1103515245) + 12345) >>> 0;
      return (drawn >>> 8) % VOCABULARY;
    };
    const tokens = (count: number): Int32Array => Int32Array.from({ length: count }, draw);
    return {
      replaying,
      held,
      /** Ids of the runs that it took: of a slot one token, or as many as are named. */
      step: async (slots: readonly (number | readonly [slot: number, count: number])[]): Promise<number[]> => {
        const rows = slots.map((wanted): RunnerRow => {
          const [slot, count] = typeof wanted === "number" ? [wanted, 1] : wanted;
          const past = held[slot] as number;
          held[slot] = past + count;
          return { slot, tokens: tokens(count), past, logits: count > 1 ? 2 : 1 };
        });
        const expected = await runLogits(plain, rows);
        runs.ids.length = 0;
        for (const [index, logits] of (await runLogits(replaying, rows)).entries()) {
          const wanted = expected[index] as Float32Array;
          const worst = logits.reduce((most, value, at) => Math.max(most, Math.abs(value - (wanted[at] as number))), 0);
          assert.ok(worst < 1e-5, `row ${index} is ${worst} off after ${rows[index]?.past} tokens`);
        }
        return [...runs.ids];
      },
      each: (call: (runner: ModelRunner) => void): void => {
        for (const runner of [replaying, plain]) call(runner);
      },
    };
  }

  /** Steps until the batch size is captured and has proved to be right. */
  async function settle({ step }: Awaited<ReturnType<typeof pair>>, slots: readonly number[]): Promise<number> {
    for (let count = 0; count < BEFORE; count++) assert.deepEqual(await step(slots), [-1]);
    const [id = -1, ...rest] = await step(slots);
    assert.ok(id > 0, "nothing was captured");
    assert.deepEqual(rest, [-1], "a step that proves is taken plainly as well");
    assert.deepEqual(await step(slots), [id, -1]);
    return id;
  }

  const variants: [string, DecoderSpec][] = [
    ["lengths", {}],
    ["position_ids", { positionIds: true }],
    ["num_logits_to_keep", { logitsToKeep: "num_logits_to_keep" }],
    ["logits of all positions", { logitsToKeep: "logits_to_keep", positionIds: true }],
  ];
  for (const [name, spec] of variants) {
    it(`are plain ones for graphs with ${name}, prompts and guessed tokens between them`, async () => {
      const both = await pair(spec);
      both.each((runner) => runner.reserve(SLOTS, CONTEXT));
      await both.step([
        [0, 5],
        [4, 3],
        [2, 7],
      ]);
      const id = await settle(both, [0, 4, 2]);
      // A prompt, and tokens that were guessed, in rows that the batch of four covers and that it does not.
      assert.deepEqual(await both.step([0, 4, 2, [7, 9]]), [id, -1]);
      assert.equal((await both.step([0, 4, 2]))[0], id);
      assert.deepEqual(await both.step([0, [4, 3], 2]), [-1, -1]);
      assert.equal((await both.step([4, 0, 2]))[0], id);
      assert.equal((await both.step([7, 0, 2, 4]))[0], id);
    });
  }

  it("leave sequences alone that have a row in the batch and no part in the step", async () => {
    const both = await pair();
    both.each((runner) => runner.reserve(8, CONTEXT));
    await both.step([0, 1, 2, 3, 4, 5].map((slot) => [slot, 2 + slot] as const));
    const id = await settle(both, [0, 1, 2, 3, 4]);
    // Row 5 holds a sequence that waits; what the spare row writes must not be in what it goes on with.
    assert.deepEqual(await both.step([5]), [-1]);
    assert.equal((await both.step([0, 1, 2, 3, 4]))[0], id);
    assert.deepEqual(await both.step([[5, 4]]), [-1]);
    assert.equal((await both.step([0, 1, 2, 3, 4]))[0], id);
    // It goes back by two tokens, and on from there.
    both.held[5] = (both.held[5] as number) - 2;
    assert.equal((await both.step([5, 0, 1, 2, 3, 4]))[0], id);
    both.each((runner) => runner.release(1));
    both.held[1] = 0;
    both.each((runner) => runner.copy(5, 1, 6));
    both.held[1] = 6;
    assert.equal((await both.step([5, 0, 1, 2, 3, 4]))[0], id);
  });

  it("are captured anew where the cache moved, and for each batch size", async () => {
    const both = await pair();
    both.each((runner) => runner.reserve(2, 32));
    await both.step([
      [0, 2],
      [1, 3],
    ]);
    const first = await settle(both, [0, 1]);
    both.each((runner) => runner.reserve(4, CONTEXT));
    const second = await settle(both, [0]);
    const third = await settle(both, [0, 1]);
    assert.equal(new Set([first, second, third]).size, 3);
    assert.equal((await both.step([1]))[0], second);
    assert.equal((await both.step([1, 0]))[0], third);
  });

  it("give way to a plain step where a row that is full would take part", async () => {
    const both = await pair();
    both.each((runner) => runner.reserve(4, CONTEXT));
    await both.step([
      [0, 2],
      [1, 2],
      [2, 2],
      [3, CONTEXT - 1],
    ]);
    const id = await settle(both, [0, 1, 2]);
    assert.deepEqual(await both.step([3]), [-1]);
    assert.deepEqual(await both.step([0, 1, 2]), [-1], "there is no place behind 64 tokens");
    both.each((runner) => runner.release(3));
    assert.equal((await both.step([0, 1, 2]))[0], id);
  });

  it("end for good with one that fails, which is taken plainly, and say why", async () => {
    const both = await pair();
    both.each((runner) => runner.reserve(1, CONTEXT));
    const id = await settle(both, [0]);
    assert.equal((await both.step([0]))[0], id);
    assert.equal(both.replaying.device.replay?.on, true);
    runs.before = () => {
      throw new Error("CUDA error 900");
    };
    assert.deepEqual(await both.step([0]), [id, -1]);
    runs.before = () => {};
    assert.deepEqual(await both.step([0]), [-1]);
    const { on, reason } = both.replaying.device.replay ?? {};
    assert.deepEqual([on, reason], [false, "A replayed step failed: CUDA error 900"]);
  });

  it("pass the rehearsal, or fail it where they go wrong later than in their first steps", async () => {
    const runner = await open(modelOf({ positionIds: true }), true);
    const rehearsed = async () => {
      const checks = await rehearse(runner, SLOTS);
      return new Map(checks.map((check) => [check.name, hasPassed(check)]));
    };
    const passed = await rehearsed();
    assert.ok([...passed.values()].every((right) => right));
    assert.equal(passed.get("replay"), true);
    const sizes = new Set(runs.ids);
    assert.ok(sizes.size > 3, "three batch sizes are replayed at least");
    const counts = new Map<number, number>();
    runs.before = (id) => {
      counts.set(id, (counts.get(id) ?? 0) + 1);
      runs.replays = (counts.get(id) as number) <= 4;
    };
    assert.equal((await rehearsed()).get("replay"), false);
  });

  it("end for good where a replay does not do what a plain step does", async () => {
    const both = await pair();
    both.each((runner) => runner.reserve(1, CONTEXT));
    for (let count = 0; count < BEFORE; count++) await both.step([0]);
    const [id = 0] = await both.step([0]);
    runs.replays = false;
    // The logits are the plain step's.
    assert.deepEqual(await both.step([0]), [id, -1, -1]);
    assert.deepEqual(await both.step([0]), [-1]);
    const { on, reason = "" } = both.replaying.device.replay ?? {};
    assert.equal(on, false);
    assert.match(reason, /^A replayed step failed: its logits are .* of their spread off$/);
  });
});
