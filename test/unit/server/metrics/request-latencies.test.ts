import assert from "node:assert/strict";
import type { ForwardStats, RequestEvent } from "../../../../src/protocol.js";
import type { LatencyHistograms } from "../../../../src/server/metrics/latency-histograms.js";
import { RequestLatencies } from "../../../../src/server/metrics/request-latencies.js";
import { ONE_TOKEN } from "../../../support/allocation.js";

const ID = "request-1";

/** What was observed, in order: name and seconds. */
function latencies(): { readonly request: RequestLatencies; readonly seen: [string, number][] } {
  const seen: [string, number][] = [];
  const histograms: Pick<LatencyHistograms, "observe" | "observeInterToken"> = {
    observe: (name, seconds) => void seen.push([name, seconds]),
    observeInterToken: (seconds) => void seen.push(["interToken", seconds]),
  };
  return { request: new RequestLatencies(histograms, { start: 1_000_000, trace: undefined }), seen };
}

const seconds = (from: number, to: number) => ({ start: from * 1e6, end: to * 1e6 });

const forward = (phase: "prefill" | "decode", from: number, to: number): ForwardStats => ({
  phase,
  ...seconds(from, to),
  steps: 1,
  tokens: 1,
  meanBatchSize: 1,
  maxStepMs: 1,
  deviceSeconds: 1,
});

const admitted = (from: number, to: number): RequestEvent => ({
  type: "admitted",
  id: ID,
  queue: { ...seconds(from, to), depth: 0 },
  allocation: { ...seconds(to, to), ...ONE_TOKEN },
});

describe("RequestLatencies", () => {
  it("measures to the first token of any choice, then between the tokens of each", () => {
    const { request, seen } = latencies();
    request.token(0, 3e6);
    request.token(1, 4e6);
    request.token(0, 5e6);
    request.token(0, 9e6);
    request.end(0, 3);
    request.end(1, 1);
    assert.deepEqual(seen, [
      ["firstToken", 2],
      ["interToken", 2],
      ["interToken", 4],
      ["perOutputToken", 3],
    ]);
  });

  it("adds up the phases of a request that was preempted, when it ends", () => {
    const { request, seen } = latencies();
    const story: RequestEvent[] = [
      admitted(1, 2),
      { type: "prefilled", id: ID, forward: forward("prefill", 2, 4) },
      { type: "preempted", id: ID, at: 7e6, forward: forward("decode", 4, 7) },
      admitted(7, 12),
      { type: "prefilled", id: ID, forward: forward("prefill", 12, 13) },
    ];
    for (const event of story) request.phase(0, event);
    assert.deepEqual(seen, []);
    const outcome = { kind: "finished", reason: "stop" } as const;
    request.phase(0, { type: "ended", id: ID, outcome, at: 20e6, forward: forward("decode", 13, 20) });
    assert.deepEqual(seen, [
      ["queue", 6],
      ["prefill", 3],
      ["decode", 10],
    ]);
  });

  it("leaves out phases that a request did not come to", () => {
    const { request, seen } = latencies();
    request.phase(0, admitted(1, 2));
    const outcome = { kind: "cancelled", cause: "client_gone" } as const;
    request.phase(0, { type: "ended", id: ID, outcome, at: 3e6, forward: forward("prefill", 2, 3) });
    assert.deepEqual(seen, [
      ["queue", 1],
      ["prefill", 1],
    ]);
  });
});
