import assert from "node:assert/strict";
import { REGION } from "../../../../native/cuda-stream.js";
import { CudaStream, OrtEnvironment, OrtMemory } from "../../../../native/ort.js";
import { StepTensors } from "../../../../src/runtime/native/step-tensors.js";
import type { FloatType, GraphSignature } from "../../../../src/runtime/signature/graph-signature.js";
import { compiler } from "../../../support/compile-library.js";
import { type CudaStub, openCudaStub } from "../../../support/cuda-stub.js";
import { requirePart } from "../../../support/requirements.js";

const ROWS = 4;
/** Odd, as GPT-2's is. */
const VOCABULARY = 33;

const signature = (type: FloatType): GraphSignature => ({
  inputIds: { name: "input_ids", type: "int64" },
  attentionMask: undefined,
  lengths: undefined,
  positionIds: undefined,
  rotaryPositions: undefined,
  logitsToKeep: undefined,
  useCacheBranch: undefined,
  logits: { name: "logits", type },
  vocabSize: VOCABULARY,
  cacheType: type,
  cache: [],
  layers: 0,
});

describe("logits of a step", () => {
  const environment = OrtEnvironment.open();
  let stub: CudaStub;
  before(function () {
    requirePart(this, compiler());
    stub = openCudaStub();
  });

  for (const type of ["float16", "bfloat16", "float32"] as const) {
    it(`begin where kernels can store 16 bytes at once, and apart from each other (${type})`, () => {
      const stream = CudaStream.open(0, stub.path);
      const [logits, host] = [OrtMemory.cuda(environment, stream), OrtMemory.cpu(environment)];
      const shape = { rows: ROWS, tokens: 8, lastLogits: true };
      const step = new StepTensors({ input: () => ({ host }), logits }, signature(type), shape);
      const all = step.logitsFor({ first: 0, count: ROWS });
      const { address: start, bytes } = all[REGION]();
      assert.deepEqual(all.shape, [ROWS, 1, VOCABULARY]);
      for (let first = 1; first < ROWS; first++) {
        const one = step.logitsFor({ first, count: 1 });
        const { address } = one[REGION]();
        assert.equal(address % 16n, 0n, `row ${first}`);
        assert.ok(address >= start + BigInt(bytes), "a prompt overwrites what was decoded in the same step");
        assert.deepEqual(one.shape, [1, 1, VOCABULARY]);
        one.dispose();
      }
      for (const object of [all, step, logits, host, stream]) object.dispose();
      assert.deepEqual([stub.count("blocks"), stub.count("streams")], [0, 0]);
    });
  }
});
