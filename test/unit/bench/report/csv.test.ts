import assert from "node:assert/strict";
import { requestsCsv } from "../../../../src/bench/report/csv.js";
import { simulatedPoint, simulatedResult } from "../../../support/bench-result.js";
import { streamedRecord } from "../../../support/recorded-traces.js";

describe("requestsCsv", () => {
  const point = simulatedPoint();
  const csvOf = (requests: (typeof point)["requests"], name = "a load"): string[] =>
    requestsCsv({ ...simulatedResult(), points: [{ ...point, name, requests }] }).split("\r\n");

  it("has a row for each request, with its latencies from the intended time of sending", () => {
    const [head, row, end] = csvOf([streamedRecord({ outputTokens: 3, gaps: [10, 20.00049] })]);
    const names = head?.split(",") ?? [];
    const cells = Object.fromEntries(row?.split(",").map((cell, index) => [names[index], cell]) ?? []);
    assert.equal(cells.queue_ms, "2");
    assert.equal(cells.ttft_ms, "37");
    assert.equal(cells.tpot_ms, "34.5");
    assert.equal(cells.e2e_ms, "106");
    assert.equal(cells.outcome, "ok");
    assert.equal(end, "");
  });

  it("leaves empty what a request does not have", () => {
    const { firstToken: _, traceId: __, ...record } = streamedRecord({ outcome: { kind: "http", status: 429 } });
    const [, row] = csvOf([record]);
    assert.equal(row, "a load,,0,,1000,1002,,1106,2,,,106,,,http,429");
  });

  it("quotes names that would break a row", () => {
    const [, row] = csvOf([streamedRecord()], 'rate 1/s, "off"');
    assert.match(row ?? "", /^"rate 1\/s, ""off""",,0,/);
  });
});
