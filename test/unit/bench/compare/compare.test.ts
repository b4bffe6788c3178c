import assert from "node:assert/strict";
import { seededRandom } from "../../../../models/tiny/random.js";
import { compareResults } from "../../../../src/bench/compare/compare.js";
import { describeComparison, regressions } from "../../../../src/bench/compare/describe.js";
import { type Simulation, simulatedResult } from "../../../support/bench-result.js";

const plain = { width: 120, color: false };
const compared = (a: Simulation, b: Simulation, seed = 1) =>
  compareResults(simulatedResult(a), simulatedResult(b), seededRandom(seed));

describe("comparing two benchmarks", () => {
  it("finds no difference between a file and itself", () => {
    const { differences, notes, unmatched } = compared({}, {});
    assert.ok(differences.length > 5);
    for (const { ratio, verdict } of differences) assert.deepEqual([ratio, verdict], [1, "same"]);
    assert.deepEqual([notes, unmatched], [[], []]);
    assert.match(describeComparison({ differences, notes, unmatched }, plain), /No difference is more than noise/);
  });

  it("is right about draws of one distribution as often as it says", function () {
    this.timeout(60_000);
    const runs = 16;
    const found = Array.from({ length: runs }, (_, i) => {
      const options = { requests: 120, repeats: 2 };
      return compared({ ...options, seed: 2 * i + 1 }, { ...options, seed: 2 * i + 2 }, i).differences;
    });
    const all = found.flat();
    const outside = all.filter(({ verdict }) => verdict !== "same").length / all.length;
    const falseAlarms = found.filter((run) => run.some(({ verdict }) => verdict === "better" || verdict === "worse"));
    // 5 % each by itself, and 5 % of whole comparisons, with room for what 16 runs vary.
    assert.ok(outside <= 0.1, `${outside} of the intervals miss 1`);
    assert.ok(falseAlarms.length <= 2, `${falseAlarms.length} of ${runs} runs report a difference`);
  });

  it("finds a fifth more latency, calls it worse, and less throughput too", () => {
    const { differences } = compared({ requests: 400 }, { requests: 400, slowness: 1.2, seed: 9 });
    const verdictOf = (metric: string) => differences.find((difference) => difference.metric === metric)?.verdict;
    assert.equal(verdictOf("tpot p50"), "worse");
    assert.equal(verdictOf("e2e p50"), "worse");
    assert.equal(verdictOf("output tokens/s"), "worse");
    const back = compared({ requests: 400, slowness: 1.2 }, { requests: 400, seed: 9 }).differences;
    assert.equal(back.find(({ metric }) => metric === "tpot p50")?.verdict, "better");
  });

  it("finds failures where there were none", () => {
    const { differences } = compared({ requests: 300 }, { requests: 300, failures: 0.2 });
    assert.equal(differences.find(({ metric }) => metric === "failed share")?.verdict, "worse");
  });

  it("tells of regressions above a limit only", () => {
    const comparison = compared({ requests: 400 }, { requests: 400, slowness: 1.2, seed: 9 });
    assert.ok(regressions(comparison, 0.05).some(({ metric }) => metric === "tpot p50"));
    assert.deepEqual(regressions(comparison, 0.5), []);
  });

  it("leaves out tails that too few requests know", () => {
    const metrics = compared({ requests: 80 }, { requests: 80 }).differences.map(({ metric }) => metric);
    assert.ok(metrics.includes("ttft p50") && !metrics.includes("ttft p99"));
  });

  it("compares no loads that differ, and says so", () => {
    const { differences, unmatched } = compared({ concurrency: 1 }, { concurrency: 2 });
    assert.deepEqual(differences, []);
    assert.deepEqual(unmatched, ["concurrency 1", "concurrency 2"]);
  });

  it("says when models, machines or lengths differ", () => {
    const [a, b] = [simulatedResult({}), simulatedResult({})];
    const point = b.points[0] ?? assert.fail();
    const requests = point.requests.map((record) => ({ ...record, promptTokens: 400 }));
    const other = {
      ...b,
      target: { ...b.target, model: "large" },
      machine: { ...b.machine, cores: 64 },
      points: [{ ...point, requests }],
    };
    const text = describeComparison(compareResults(a, other, seededRandom(1)), plain);
    assert.match(text, /The models differ: tiny, and large\./);
    assert.match(text, /The machines differ: 2 × .*64 ×/);
    assert.match(text, /concurrency 4: the prompts differ, 40 and 400 tokens on average\./);
  });
});
