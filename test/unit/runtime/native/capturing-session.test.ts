import assert from "node:assert/strict";
import type { OrtSession } from "../../../../native/ort.js";
import { VitrineError } from "../../../../src/errors.js";
import type { PreparedGraph } from "../../../../src/runtime/graph/prepare-graph.js";
import {
  createCapturingSession,
  whyNoReplay,
  whyNotCaptured,
} from "../../../../src/runtime/native/capturing-session.js";
import type { GraphSignature } from "../../../../src/runtime/signature/graph-signature.js";

/** As inference_session.cc words it. */
const REFUSAL = "This session cannot use the graph capture feature as requested by the user ";
const OF_OPERATORS = `${REFUSAL} as all compute graph nodes have not been partitioned to the CUDAExecutionProvider`;
const OF_CONTROL_FLOW = `${REFUSAL}as the model has control flow nodes which can't be supported by CUDAExecutionProvider`;

describe("capturing session", () => {
  /** Creates sessions that say which options they were given; the first ones fail with `failures`. */
  async function create(provider: "cpu" | "cuda", replay: boolean, ...failures: string[]) {
    const asked: unknown[] = [];
    const device = { requested: provider, provider, reason: "" } as const;
    const outcome = createCapturingSession(
      { graph: {} as PreparedGraph, device, threads: 1, replay },
      async (_graph, _device, _threads, cuda = {}) => {
        asked.push(cuda);
        const failure = failures.shift();
        if (failure !== undefined) throw new VitrineError("device_unavailable", failure);
        return {} as OrtSession;
      },
    );
    const told = await outcome.then(
      ({ obstacle }) => obstacle ?? "captures",
      (error: Error) => error.message,
    );
    return { asked, told };
  }
  const CAPTURING = { enable_cuda_graph: "1" };

  it("captures on CUDA, and is an ordinary one on the CPU", async () => {
    assert.deepEqual(await create("cuda", true), { asked: [CAPTURING], told: "captures" });
    assert.deepEqual((await create("cpu", true)).asked, [{}]);
  });

  it("is an ordinary one where that is wanted", async () => {
    assert.deepEqual(await create("cuda", false), { asked: [{}], told: "It was not asked for." });
  });

  it("is an ordinary one where ONNX Runtime refuses, and knows why", async () => {
    const { asked, told } = await create("cuda", true, `CUDA device 0 cannot be used: ${OF_OPERATORS}`);
    assert.deepEqual(asked, [CAPTURING, {}]);
    assert.match(told, /operators run on the CPU/);
  });

  it("is not tried again after another failure", async () => {
    assert.deepEqual(await create("cuda", true, "out of memory"), { asked: [CAPTURING], told: "out of memory" });
    assert.equal((await create("cuda", true, OF_OPERATORS, "out of memory")).told, "out of memory");
  });

  it("knows ONNX Runtime's refusals, and lets other failures pass", () => {
    assert.match(whyNotCaptured(OF_OPERATORS) ?? "", /operators run on the CPU/);
    assert.match(whyNotCaptured(OF_CONTROL_FLOW) ?? "", /control flow/);
    assert.equal(whyNotCaptured("CUDA error 2: out of memory"), undefined);
  });

  it("is of no use where a graph reads on the CPU what each step feeds", () => {
    const id = { type: "int64" } as const;
    const signature = {
      inputIds: { ...id, name: "input_ids" },
      positionIds: { ...id, name: "position_ids" },
      rotaryPositions: undefined,
      attentionMask: undefined,
      lengths: { rows: "lengths", total: "total" },
      logitsToKeep: { ...id, name: "num_logits_to_keep", rank: 0, sign: 1 },
    } as Partial<GraphSignature> as GraphSignature;
    const reading = (...names: string[]) => ({ reads: (name: string) => names.includes(name) });
    // The limit and the count of logits are the same in every decode step.
    assert.equal(whyNoReplay(reading("input_ids", "position_ids", "lengths"), signature), undefined);
    assert.match(whyNoReplay(reading("input_ids", "lengths"), signature) ?? "", /reads "position_ids" on the CPU/);
    assert.match(whyNoReplay(reading("input_ids", "position_ids"), signature) ?? "", /reads "lengths" on the CPU/);
    assert.match(whyNoReplay(undefined, signature) ?? "", /reads "input_ids" on the CPU/);
  });
});
