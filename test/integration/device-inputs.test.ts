/** What a device sees of inputs that this process writes; the CPU stands in for it. */
import assert from "node:assert/strict";
import { OrtBinding, type OrtRunOptions, type OrtTensor } from "../../native/ort.js";
import type { ModelRunner } from "../../src/engine/runner.js";
import { findGraphFile } from "../../src/runtime/files/graph-file.js";
import { openModelDirectory, resolveModelDirectory } from "../../src/runtime/files/model-directory.js";
import { prepareGraph } from "../../src/runtime/graph/prepare-graph.js";
import { createNativeRunner, type DeviceParts } from "../../src/runtime/native/native-runner.js";
import { standInDevice } from "../support/captured-runs.js";
import { runLogits } from "../support/run-logits.js";

const PROMPT = Int32Array.of(5, 40, 7, 300, 21);
const STEPS = 6;
const { runAsync } = OrtBinding.prototype;

/** Greedy ids of two sequences that decode together. */
async function continued(lengths: boolean, parts: Partial<DeviceParts> = {}): Promise<number[]> {
  const directory = openModelDirectory(resolveModelDirectory("tiny"));
  const graph = prepareGraph(findGraphFile(directory.path, "fp32", "cpu"), { lengths });
  const device = { requested: "cpu", provider: "cpu", reason: "" } as const;
  const runner = await createNativeRunner({ directory, graph, device, threads: 1, maxSequences: 2 }, parts);
  try {
    return await decode(runner);
  } finally {
    await runner.dispose();
  }
}

async function decode(runner: ModelRunner): Promise<number[]> {
  const prompts = [PROMPT, PROMPT.subarray(0, 3)];
  let logits = await runLogits(
    runner,
    prompts.map((tokens, slot) => ({ slot, tokens, past: 0 })),
  );
  const chosen: number[] = [];
  for (let step = 0; step < STEPS; step++) {
    const ids = logits.map((row) => row.indexOf(Math.max(...row)));
    chosen.push(...ids);
    const rows = ids.map((id, slot) => ({
      slot,
      tokens: Int32Array.of(id),
      past: (prompts[slot] as Int32Array).length + step,
    }));
    logits = await runLogits(runner, rows);
  }
  return chosen;
}

describe("inputs of a device", () => {
  for (const lengths of [true, false]) {
    it(`are those of this step, not of the first, with ${lengths ? "lengths" : "a mask"}`, async () => {
      const expected = await continued(lengths);
      assert.ok(new Set(expected).size > 3, "the model says the same all the time");
      const sent = new Set<number>();
      const openInputs = () => {
        const device = standInDevice();
        return {
          ...device,
          send: (copies: Parameters<typeof device.send>[0]) => {
            const all = [...copies];
            sent.add(all.length);
            device.send(all);
          },
        };
      };
      assert.deepEqual(await continued(lengths, { openInputs }), expected);
      assert.deepEqual(
        [...sent],
        [lengths ? 4 : 3],
        "ids, logits to keep, lengths and their limit, or a mask, at once",
      );
    });
  }

  it("say how long a prompt is, and in decode steps always what a row has room for, as replayed ones cannot tell", async () => {
    const { bindInput, run } = OrtBinding.prototype;
    const totals = new Map<OrtBinding, OrtTensor>();
    const told: unknown[] = [];
    try {
      OrtBinding.prototype.bindInput = function (name, tensor) {
        if (name === "total_sequence_length" && !totals.has(this)) totals.set(this, tensor.view(0, [1]));
        bindInput.call(this, name, tensor);
      };
      OrtBinding.prototype.run = function (options) {
        told.push(totals.get(this)?.data[0]);
        run.call(this, options);
      };
      Object.assign(OrtBinding.prototype, {
        runAsync: async function (this: OrtBinding, options?: OrtRunOptions) {
          this.run(options);
        },
      });
      await continued(true);
    } finally {
      Object.assign(OrtBinding.prototype, { bindInput, run, runAsync });
      for (const total of totals.values()) total.dispose();
    }
    const room = 256;
    assert.deepEqual(told, [5, 3, ...new Array<number>(STEPS).fill(room)]);
  });

  it("are written where they are read, if a graph reads them on the CPU", async () => {
    const openInputs = () => ({ ...standInDevice(() => false), send: () => assert.fail("sent to a device") });
    assert.deepEqual(await continued(true, { openInputs }), await continued(true));
  });
});
