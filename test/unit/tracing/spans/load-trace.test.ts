import assert from "node:assert/strict";
import type { LoadRecord } from "../../../../src/tracing/contract.js";
import { EPOCH, Harness } from "../harness.js";

const RECORD: LoadRecord = {
  load: {
    start: 1_000,
    end: 9_000,
    phases: [
      { name: "tokenizer.load", start: 1_000, end: 2_000 },
      { name: "session.create", start: 2_000, end: 7_000 },
      { name: "warmup", start: 7_000, end: 9_000 },
    ],
  },
  model: {
    name: "tiny",
    dtype: "q4",
    vocabSize: 4_096,
    contextLength: 1_024,
    layers: 6,
    kvBytesPerToken: 3_072,
    weightBytes: 9_000_000,
  },
  requested: "auto",
  device: {
    requested: "auto",
    provider: "cpu",
    reason: "no CUDA device",
    runtime: { requested: "native", kind: "native", reason: "asked for" },
  },
  restarts: 0,
};

describe("load trace", () => {
  it("is a trace of its own with one child a phase", () => {
    const harness = new Harness();
    harness.requests.load(RECORD);
    assert.deepEqual(harness.tree(), ["model.load", "  tokenizer.load", "  session.create", "  warmup"]);
    const load = harness.span("model.load");
    assert.deepEqual(
      [load.parentId, load.kind, load.timestamp - EPOCH, load.duration],
      [undefined, undefined, 1_000, 8_000],
    );
    assert.deepEqual(load.tags, {
      "ai.model.name": "tiny",
      "ai.model.dtype": "q4",
      "ai.model.weight_bytes": "9000000",
      "ai.model.context_length": "1024",
      "ai.model.layers": "6",
      "ai.model.vocab_size": "4096",
      "ai.kv.bytes_per_token": "3072",
      "ai.device": "cpu",
      "ai.device.reason": "no CUDA device",
      "ai.runtime": "native",
      "ai.runtime.reason": "asked for",
      "ai.engine.restarts": "0",
    });
  });

  it("says whether decode steps are replayed, and why not, where that is a question", () => {
    const harness = new Harness();
    const replay = { on: false, reason: "The graph has control flow." };
    harness.requests.load({ ...RECORD, device: { requested: "cuda", provider: "cuda", reason: "asked for", replay } });
    const { tags } = harness.span("model.load");
    assert.equal(tags?.["ai.cuda_graphs"], "off");
    assert.equal(tags?.["ai.cuda_graphs.reason"], "The graph has control flow.");
  });

  it("tells what came of a rehearsal", () => {
    const harness = new Harness();
    const rehearsal = { checks: 9, largestError: 0.5, failed: ["batch", "moves"] };
    const phases = [...RECORD.load.phases, { name: "rehearsal", start: 9_000, end: 9_500, rehearsal } as const];
    harness.requests.load({ ...RECORD, load: { ...RECORD.load, phases } });
    const { tags, duration } = harness.span("rehearsal");
    assert.equal(duration, 500);
    assert.deepEqual(tags, {
      "ai.rehearsal.checks": "9",
      "ai.rehearsal.largest_error": "0.5",
      "ai.rehearsal.failed": "batch moves",
    });
  });

  it("marks a failed start, and the phase it failed in", () => {
    const harness = new Harness();
    const error = { code: "device_unavailable", message: "no CUDA driver" } as const;
    const load = { ...RECORD.load, phases: RECORD.load.phases.slice(0, 2) };
    harness.requests.load({ load, model: { name: "tiny" }, requested: "cuda:1", error, restarts: 2 });
    assert.deepEqual(harness.tree(), [
      "model.load !device_unavailable: no CUDA driver",
      "  tokenizer.load",
      "  session.create !device_unavailable: no CUDA driver",
    ]);
    const { tags } = harness.span("model.load");
    assert.deepEqual([tags?.["ai.engine.restarts"], tags?.["ai.device"]], ["2", "cuda:1"], "what was asked for");
  });

  it("is kept whatever the rate, unless the rate is 0", () => {
    const rare = new Harness({ sampleRate: 1e-9 });
    rare.requests.load(RECORD);
    assert.equal(rare.spans().length, 4);
    const never = new Harness({ sampleRate: 0 });
    never.requests.load(RECORD);
    assert.equal(never.processor.counts.ended, 0);
  });
});
