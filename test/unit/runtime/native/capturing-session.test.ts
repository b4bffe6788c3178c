import assert from "node:assert/strict";
import { whyNoReplay, whyNotCaptured } from "../../../../src/runtime/native/capturing-session.js";
import type { GraphSignature } from "../../../../src/runtime/signature/graph-signature.js";

describe("capturing session", () => {
  it("knows ONNX Runtime's refusals, and lets other failures pass", () => {
    // As inference_session.cc words them.
    const refusal = "This session cannot use the graph capture feature as requested by the user ";
    assert.match(
      whyNotCaptured(`${refusal} as all compute graph nodes have not been partitioned to the CUDAExecutionProvider`) ??
        "",
      /operators run on the CPU/,
    );
    assert.match(
      whyNotCaptured(
        `${refusal}as the model has control flow nodes which can't be supported by CUDAExecutionProvider`,
      ) ?? "",
      /control flow/,
    );
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
      logitsToKeep: { ...id, name: "num_logits_to_keep", rank: 0 },
    } as Partial<GraphSignature> as GraphSignature;
    const reading = (...names: string[]) => ({ reads: (name: string) => names.includes(name) });
    // The limit and the count of logits are the same in every decode step.
    assert.equal(whyNoReplay(reading("input_ids", "position_ids", "lengths"), signature), undefined);
    assert.match(whyNoReplay(reading("input_ids", "lengths"), signature) ?? "", /reads "position_ids" on the CPU/);
    assert.match(whyNoReplay(reading("input_ids", "position_ids"), signature) ?? "", /reads "lengths" on the CPU/);
    assert.match(whyNoReplay(undefined, signature) ?? "", /reads "input_ids" on the CPU/);
  });
});
