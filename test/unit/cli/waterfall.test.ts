import assert from "node:assert/strict";
import { waterfall, type ZipkinSpan } from "../../../src/cli/waterfall.js";

const span = (id: string, parentId: string | undefined, start: number, duration: number, name = id): ZipkinSpan => ({
  traceId: "0af7651916cd43dd8448eb211c80319c",
  id,
  ...(parentId === undefined ? {} : { parentId }),
  name,
  timestamp: 1_000_000 + start,
  duration,
});
const plain = { width: 80, color: false };
const barOf = (line: string): string => line.replace(/^.* ms {2}/, "");

describe("waterfall", () => {
  it("says so when there is nothing to draw", () => {
    assert.equal(waterfall([], plain), "(no spans)");
  });

  it("draws parents before children, siblings by start, with offsets and durations", () => {
    const lines = waterfall(
      [span("c", "a", 600, 400), span("b", "a", 0, 500), span("a", undefined, 0, 1000)],
      plain,
    ).split("\n");
    assert.deepEqual(
      lines.map((line) => line.replace(/ +█.*$/, "").replace(/ +/g, " ")),
      [
        "trace 0af7651916cd43dd8448eb211c80319c 3 spans 1.00 ms",
        "a +0.00 ms 1.00 ms",
        "├─ b +0.00 ms 0.50 ms",
        "└─ c +0.60 ms 0.40 ms",
      ],
    );
  });

  it("places bars to scale", () => {
    const lines = waterfall([span("a", undefined, 0, 1000), span("b", "a", 500, 500)], plain).split("\n");
    const [whole, half] = [barOf(lines[1] ?? ""), barOf(lines[2] ?? "")];
    assert.match(whole, /^█+$/);
    assert.match(half, /^ +█+$/);
    assert.equal(half.length, whole.length);
    assert.equal(half.indexOf("█"), whole.length / 2);
  });

  it("keeps a bar inside the picture for zero and outlying durations", () => {
    const lines = waterfall(
      [span("a", undefined, 0, 1000), span("b", "a", 1000, 0), span("c", "a", 999, 1)],
      plain,
    ).split("\n");
    for (const line of lines.slice(2)) assert.match(barOf(line), /^ *█$/);
  });

  it("treats a span whose parent is elsewhere as a root", () => {
    const picture = waterfall([span("b", "caller", 0, 10), span("c", "b", 1, 5)], plain);
    assert.match(picture, /\nb .*\n└─ c /);
  });

  it("wraps tags and annotations below their span, inside the width", () => {
    const tags = Object.fromEntries(Array.from({ length: 12 }, (_, index) => [`ai.tag_${index}`, `value${index}`]));
    const annotations = [{ timestamp: 1_000_250, value: "first_token" }];
    const lines = waterfall([{ ...span("a", undefined, 0, 1000), tags, annotations }], plain)
      .split("\n")
      .slice(2);
    assert.ok(lines.length > 2);
    assert.match(lines[0] ?? "", /^ {2}@first_token \+0\.25 ms {2}ai\.tag_0=value0/);
    for (const line of lines) assert.ok(line.length <= plain.width, line);
    for (const [key, value] of Object.entries(tags)) assert.ok(lines.some((line) => line.includes(`${key}=${value}`)));
  });

  it("leaves out the second names of facts", () => {
    const tags = { "ai.temperature": "0", "gen_ai.request.temperature": "0" };
    const picture = waterfall([{ ...span("a", undefined, 0, 1), tags }], plain);
    assert.match(picture, / ai\.temperature=0/);
    assert.doesNotMatch(picture, /gen_ai/);
  });

  it("colours only when asked to", () => {
    const spans = [{ ...span("a", undefined, 0, 1), tags: { k: "v" } }];
    assert.ok(!waterfall(spans, plain).includes("\u001b"));
    assert.ok(waterfall(spans, { ...plain, color: true }).includes("\u001b[36m"));
  });
});
