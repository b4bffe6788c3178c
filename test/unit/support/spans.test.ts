import assert from "node:assert/strict";
import { coverage, descendants, isInside, Trace, type ZipkinSpan } from "../../support/spans.js";

function span(id: string, timestamp: number, duration: number, parentId?: string): ZipkinSpan {
  return {
    traceId: "a".repeat(32),
    id,
    name: id,
    timestamp,
    duration,
    ...(parentId === undefined ? {} : { parentId }),
  };
}

describe("span questions", () => {
  const root = span("root", 1000, 100);

  it("counts overlapping children once and clips what sticks out", () => {
    assert.equal(coverage(root, []), 0);
    assert.equal(coverage(root, [span("a", 1000, 50), span("b", 1025, 50)]), 0.75);
    assert.equal(coverage(root, [span("a", 1000, 80), span("b", 1010, 10)]), 0.8);
    assert.equal(coverage(root, [span("a", 900, 1000)]), 1);
    assert.equal(coverage(root, [span("a", 0, 10)]), 0);
  });

  it("tells inside from outside", () => {
    assert.equal(isInside(span("a", 1000, 100), root), true);
    assert.equal(isInside(span("a", 990, 20), root), false);
    assert.equal(isInside(span("a", 1050, 60), root), false);
  });

  it("finds children, descendants and the one span asked for", () => {
    const trace = new Trace([root, span("child", 1000, 10, "root"), span("grandchild", 1000, 5, "child")]);
    assert.deepEqual(
      descendants(trace, root).map(({ id }) => id),
      ["child", "grandchild"],
    );
    assert.equal(trace.named("child").id, "child");
    assert.throws(() => trace.named("nobody"), /0 spans are named nobody/);
  });
});
