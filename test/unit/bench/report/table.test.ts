import assert from "node:assert/strict";
import { terminalTable } from "../../../../src/bench/report/table.js";
import { simulatedPoint, simulatedResult } from "../../../support/bench-result.js";

const plain = { width: 120, color: false };
const lineWith = (text: string, words: string): string => {
  const line = text.split("\n").find((candidate) => candidate.includes(words));
  assert.ok(line !== undefined, `no line has "${words}":\n${text}`);
  return line;
};

describe("the table at the end of a benchmark", () => {
  const result = simulatedResult({ concurrency: 1 }, { concurrency: 16, failures: 0.1 });

  it("has a line for each load, aligned, with its errors by kind", () => {
    const text = terminalTable(result, plain);
    const [head, one, sixteen] = text.split("\n\n")[1]?.split("\n") ?? [];
    assert.match(head ?? "", /^load +answered +req\/s +tok\/s in +tok\/s out +errors$/);
    assert.equal(one?.length, head?.length);
    assert.match(sixteen ?? "", /^concurrency 16 +\d+\/80 .* \d+ http 429$/);
  });

  it("gives percentiles with their spread, and where the time went as bars", () => {
    const text = terminalTable(result, plain);
    assert.match(lineWith(text, "concurrency 1  time to first token"), /±/);
    const decode = lineWith(text, "  decode");
    const prefill = lineWith(text, "  prefill");
    assert.ok(decode.split("█").length > prefill.split("█").length, "longer parts have longer bars");
    assert.match(text, /79 of 80 complete, 0 orphaned spans, server spans covered to 99.1 % at least/);
  });

  it("stays within a narrow terminal, and loses nothing by it", () => {
    const text = terminalTable(result, { width: 50, color: false });
    const loads = text.split("\n\n")[1] ?? "";
    for (const line of loads.split("\n")) assert.ok(line.length <= 50, line);
    assert.match(loads, /\n {4}tok\/s out [\d,.]+\n/);
  });

  it("says that traces do not apply, and why", () => {
    const { traces: _, ...point } = simulatedPoint();
    const points = [{ ...point, tracesUnavailable: "The target left no span of its own." }];
    const text = terminalTable({ ...result, points }, plain);
    assert.match(text, /traces: not applicable. The target left no span of its own\./);
  });

  it("links the slowest requests to Zipkin's page where there is one, else to the target's own store", () => {
    assert.match(terminalTable(result, plain), /http:\/\/127\.0\.0\.1:8080\/zipkin\/api\/v2\/trace\/0+1/);
    const elsewhere = { ...result, zipkinEndpoint: "http://zipkin:9411/api/v2/spans" };
    assert.match(terminalTable(elsewhere, plain), /http:\/\/zipkin:9411\/zipkin\/traces\/0+1/);
  });

  it("has colours only in a terminal that shows them", () => {
    assert.ok(!terminalTable(result, plain).includes("\u001b"));
    assert.ok(terminalTable(result, { ...plain, color: true }).includes("\u001b[36m█"));
  });
});
