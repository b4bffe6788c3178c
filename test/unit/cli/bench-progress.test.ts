import assert from "node:assert/strict";
import type { RequestRecord } from "../../../src/bench/result.js";
import { BenchProgress } from "../../../src/cli/bench-progress.js";

const record = (outcome: RequestRecord["outcome"]): RequestRecord => ({
  ...{ repeat: 0, intended: 1_000, sent: 1_000, firstToken: 1_040, end: 1_100, gaps: [], outputTokens: 50 },
  outcome,
});

describe("progress of a benchmark", () => {
  const play = (isTTY: boolean): string => {
    let written = "";
    let now = 0;
    const screen = { isTTY, columns: 200, write: (text: string) => (written += text) };
    const progress = new BenchProgress(screen, { now: () => now });
    progress.onRepeat("concurrency 4", 2, 3);
    for (let i = 0; i < 4; i++) progress.onSend();
    progress.onRecord(record({ kind: "ok" }));
    progress.onRecord(record({ kind: "http", status: 429 }));
    now = 2_000;
    progress.draw();
    progress.stop();
    return written;
  };

  it("is one line in a terminal, rewritten, and gone in the end", () => {
    const [, line, end] = play(true).split("\r\u001b[K");
    assert.equal(line, "concurrency 4, repeat 2 of 3  2 s  2 done  2 running  1 failed  50 tokens/s  TTFT p50 40 ms");
    assert.equal(end, "");
  });

  it("is a line for each repeat elsewhere", () => {
    assert.equal(play(false), "concurrency 4, repeat 2 of 3\n");
  });
});
