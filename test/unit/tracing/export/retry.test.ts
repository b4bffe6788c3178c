import assert from "node:assert/strict";
import { retryAfterMs } from "../../../../src/tracing/export/retry.js";

describe("retryAfterMs", () => {
  const now = Date.parse("Sun, 22 Nov 2026 10:00:00 GMT");
  for (const [header, ms] of [
    [undefined, 0],
    ["0", 0],
    ["120", 120_000],
    ["Sun, 22 Nov 2026 10:00:30 GMT", 30_000],
    ["Sun, 22 Nov 2026 09:00:00 GMT", 0],
    ["soon", 0],
    ["-5", 0],
  ] as const) {
    it(`${header ?? "no header"}: ${ms}`, () => assert.equal(retryAfterMs(header, now), ms));
  }
});
