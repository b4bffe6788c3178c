import assert from "node:assert/strict";
import fc from "fast-check";
import { loadPicture } from "../../../../src/bench/report/load-picture.js";
import { distributions } from "../../../../src/bench/report/svg/distributions.js";
import { linePlot } from "../../../../src/bench/report/svg/line-plot.js";
import { evenTicks, linear, logarithmic } from "../../../../src/bench/report/svg/scale.js";
import { stackedBars } from "../../../../src/bench/report/svg/stacked-bars.js";
import { element, label } from "../../../../src/bench/report/svg/svg.js";
import { lanesOf, timeline } from "../../../../src/bench/report/svg/timeline.js";
import { simulatedRequests, simulatedResult } from "../../../support/bench-result.js";
import { streamedRecord } from "../../../support/recorded-traces.js";

const numbersIn = (markup: string, attribute: string): number[] =>
  [...markup.matchAll(new RegExp(` ${attribute}="([^"]*)"`, "g"))].map((match) => Number(match[1]));

describe("scales", () => {
  it("keep order, stay in their range, and have ticks within the domain", () => {
    const span = fc.tuple(
      fc.double({ min: 0.01, max: 1e4, noNaN: true }),
      fc.double({ min: 1.05, max: 1e4, noNaN: true }),
    );
    fc.assert(
      fc.property(span, fc.double({ min: 0, max: 1, noNaN: true }), ([low, factor], share) => {
        const high = low * factor;
        const value = low + share * (high - low);
        for (const scale of [linear([0, high], [10, 90]), logarithmic([low, high], [10, 90])]) {
          const at = scale.at(value);
          assert.ok(at >= 10 - 1e-6 && at <= 90 + 1e-6, `${value} of ${low} to ${high} is at ${at}`);
          assert.ok(scale.at(high) >= at);
          assert.deepEqual(
            scale.ticks,
            [...scale.ticks].sort((a, b) => a - b),
          );
        }
      }),
    );
  });

  it("step by 1, 2 or 5", () => {
    assert.deepEqual(evenTicks([0, 10], 5), [0, 2, 4, 6, 8, 10]);
    assert.deepEqual(evenTicks([3, 101], 4), [50, 100]);
    assert.deepEqual(logarithmic([0.9, 21], [0, 1]).ticks, [1, 2, 5, 10, 20]);
    assert.deepEqual(logarithmic([1, 10_000], [0, 1]).ticks, [1, 10, 100, 1_000, 10_000]);
  });
});

describe("pictures", () => {
  it("take no name for markup", () => {
    assert.equal(label({ x: 1 }, "<b> & co"), '<text x="1">&lt;b&gt; &amp; co</text>');
    assert.equal(element("g", { title: '"x"', none: undefined }), '<g title="&quot;x&quot;"></g>');
  });

  it("draw a load further right and a longer time further up, with whiskers where an interval is known", () => {
    const points = [
      { x: 1, y: 10, low: 9, high: 12 },
      { x: 4, y: 30 },
    ];
    const series = [{ name: "p50", style: "tone-1", points }];
    const drawn = linePlot({ title: "TTFT", unit: "ms", horizontal: "requests at once", series, limit: 20 });
    const dots = drawn.match(/<circle class="dot[^>]*>/g)?.join("") ?? "";
    const [left = 0, right = 0] = numbersIn(dots, "cx");
    const [lower = 0, higher = 0] = numbersIn(dots, "cy");
    assert.ok(left < right && higher < lower);
    assert.equal(drawn.match(/class="whisker/g)?.length, 1);
    assert.match(drawn, /p50 at 1: 10 ms \(9 to 12\)/);
    assert.match(drawn, /SLO 20/);
    assert.ok(!drawn.includes("NaN"));
  });

  it("stand in a file of their own, well-formed, and only where there is a sweep", () => {
    const drawn = loadPicture(simulatedResult({ concurrency: 1 }, { concurrency: 4 }));
    assert.equal(drawn.match(/<svg class="plot"/g)?.length, 4);
    assert.equal(drawn.match(/<svg/g)?.length, drawn.match(/<\/svg>/g)?.length);
    assert.match(drawn, /prefers-color-scheme: dark/);
    assert.throws(() => loadPicture(simulatedResult({})), /--svg: a picture against load needs a sweep/);
  });

  it("put every value of a distribution into one bin", () => {
    const drawn = distributions("TTFT", [
      { name: "one", values: [5, 5, 5] },
      { name: "none", values: [] },
    ]);
    assert.match(drawn, /median 5 ms/);
    assert.ok(!drawn.includes("none") && !drawn.includes("NaN"));
  });

  it("lay the parts of a request end to end", () => {
    const parts = [
      { name: "queue", style: "queue", ms: 10 },
      { name: "decode", style: "decode", ms: 30 },
    ];
    const drawn = stackedBars("Whole", [{ name: "load", parts }]);
    const bars = drawn.match(/<rect class="part[^>]*height="20">/g)?.join("") ?? "";
    const [first = 0, second = 0] = numbersIn(bars, "x");
    const [width = 0, longer = 0] = numbersIn(bars, "width");
    assert.ok(Math.abs(first + width - second) < 0.02 && Math.abs(longer - 3 * width) < 0.05);
    assert.match(drawn, /load: decode 30 ms, 75.0 %/);
  });

  it("never let two requests of a timeline lie over each other, and use as many lanes as ran at once", () => {
    const placed = lanesOf(simulatedRequests({ concurrency: 5, repeats: 1 }));
    assert.equal(new Set(placed.map(({ lane }) => lane)).size, 5);
    const ends = new Map<number, number>();
    for (const { record, lane } of placed) {
      assert.ok(record.intended >= (ends.get(lane) ?? 0));
      ends.set(lane, record.end);
    }
  });

  it("show in a timeline what became of each request", () => {
    const broken = { kind: "broken", reason: "ECONNRESET" } as const;
    const records = [
      streamedRecord(),
      streamedRecord({ outcome: { kind: "cancelled" } }),
      streamedRecord({ outcome: broken }),
    ];
    const drawn = timeline("load", records);
    const states = [...(drawn.split('class="zoomable"')[1] ?? "").matchAll(/class="state (\w+)"/g)].map(
      (match) => match[1],
    );
    assert.deepEqual(states.slice(0, 9), [
      "wait",
      "first",
      "rest",
      "wait",
      "cancelled",
      "cancelled",
      "wait",
      "failed",
      "failed",
    ]);
  });
});
