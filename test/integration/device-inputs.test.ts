/** What a device sees of inputs that this process writes, on the CPU: there a binding that copies is told to. */
import assert from "node:assert/strict";
import { OrtBinding, OrtEnvironment, OrtMemory, OrtTensor } from "../../native/ort.js";
import type { ModelRunner } from "../../src/engine/runner.js";
import { findGraphFile } from "../../src/runtime/files/graph-file.js";
import { openModelDirectory, resolveModelDirectory } from "../../src/runtime/files/model-directory.js";
import { prepareGraph } from "../../src/runtime/graph/prepare-graph.js";
import { createNativeRunner } from "../../src/runtime/native/native-runner.js";
import { runLogits } from "../support/run-logits.js";

const PROMPT = Int32Array.of(5, 40, 7, 300, 21);
const STEPS = 6;

/** Greedy ids of two sequences that decode together. */
async function continued(lengths: boolean): Promise<number[]> {
  const directory = openModelDirectory(resolveModelDirectory("tiny"));
  const graph = prepareGraph(findGraphFile(directory.path, "fp32", "cpu"), { lengths });
  const device = { requested: "cpu", provider: "cpu", reason: "" } as const;
  const runner = await createNativeRunner({ directory, graph, device, threads: 1, maxSequences: 2 });
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

/** As ONNX Runtime binds an input for a kernel on a device: it takes what is in it now there, once. */
function copyWhenBound(): () => void {
  const bind = OrtBinding.prototype.bindInput;
  const memory = OrtMemory.cpu(OrtEnvironment.open());
  OrtBinding.prototype.bindInput = function (name, tensor) {
    // The cache is where the kernels are.
    if (tensor.type === "float32") {
      bind.call(this, name, tensor);
      return;
    }
    const arrived = OrtTensor.allocate(memory, tensor.type, tensor.shape);
    (arrived.data as BigInt64Array).set(tensor.data as BigInt64Array);
    bind.call(this, name, arrived);
    arrived.dispose();
  };
  return () => {
    OrtBinding.prototype.bindInput = bind;
    memory.dispose();
  };
}

describe("inputs of a device", () => {
  for (const lengths of [true, false]) {
    it(`are those of this step, not of the first, with ${lengths ? "lengths" : "a mask"}`, async () => {
      const expected = await continued(lengths);
      assert.ok(new Set(expected).size > 3, "the model says the same all the time");
      const restore = copyWhenBound();
      try {
        assert.deepEqual(await continued(lengths), expected);
      } finally {
        restore();
      }
    });
  }
});
