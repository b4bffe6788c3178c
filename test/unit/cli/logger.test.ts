import assert from "node:assert/strict";
import { createLogger, type LogFormat } from "../../../src/cli/logger.js";

/** The one line of a request in this format, without its time. */
function line(format: LogFormat): Record<string, unknown> {
  const chunks: string[] = [];
  const logger = createLogger("info", format, { write: (chunk) => void chunks.push(chunk) });
  logger.info({ trace_id: "ab", span_id: "cd", trace_flags: "01", status: 200 }, "request");
  const { time, "@timestamp": timestamp, ...rest } = JSON.parse(chunks.join("")) as Record<string, unknown>;
  assert.match(String(time ?? timestamp), /^\d{4}-\d\d-\d\dT.*Z$/);
  return rest;
}

describe("createLogger", () => {
  it("names traces as OpenTelemetry does", () => {
    const expected = { level: 30, trace_id: "ab", span_id: "cd", trace_flags: "01", status: 200, msg: "request" };
    assert.deepEqual(line("json"), expected);
  });

  it("names them as Elastic does, when told to", () => {
    assert.deepEqual(line("ecs"), {
      "log.level": "info",
      "ecs.version": "8.17.0",
      "trace.id": "ab",
      "span.id": "cd",
      trace_flags: "01",
      status: 200,
      message: "request",
    });
  });
});
