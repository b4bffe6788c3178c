import assert from "node:assert/strict";
import { compareVariants } from "../../../../src/bench/ab/compare-variants.js";
import { commandOf } from "../../../../src/bench/ab/variants.js";
import { summarize } from "../../../../src/bench/metrics/summary.js";
import type { LoadPoint, RequestRecord } from "../../../../src/bench/result.js";

describe("servers of an A/B run", () => {
  const env = { PATH: "/bin", ZIPKIN_ENDPOINT: "http://a", OTEL_EXPORTER_OTLP_ENDPOINT: "http://b" };
  const setting = { entry: "main.js", flags: ["--model", "m"], env, zipkinEndpoint: "http://zipkin:9411" };
  const commandFlags = (flag: string, value: string) => commandOf(flag, value, setting).flags;

  it("differ in one flag, with a value or as a switch", () => {
    const common = ["--model", "m", "--zipkin-endpoint", "http://zipkin:9411"];
    assert.deepEqual(commandFlags("zipkin-encoder", "otel"), [...common, "--zipkin-encoder", "otel"]);
    assert.deepEqual(commandFlags("no-fast-int4", "on"), [...common, "--no-fast-int4"]);
    assert.deepEqual(commandFlags("no-fast-int4", "off"), common);
  });

  it("trace nothing with tracing=off, whatever the environment says, and by the endpoint with tracing=on", () => {
    const off = commandOf("tracing", "off", setting);
    assert.deepEqual(off.flags, ["--model", "m", "--trace-store", "off"]);
    assert.deepEqual(off.env, { PATH: "/bin", ENABLE_ZIPKIN_TRACING: "false" });
    assert.deepEqual(commandFlags("tracing", "on"), ["--model", "m", "--zipkin-endpoint", "http://zipkin:9411"]);
  });
});

describe("comparison of variants", () => {
  /** Two rounds, of which each answer takes `took` milliseconds. */
  const point = (variant: string, took: readonly number[]): LoadPoint => {
    const requests = took.map((ms, repeat): RequestRecord => {
      const begin = repeat * 10_000;
      const times = { intended: begin, sent: begin, firstToken: begin + ms / 2, end: begin + ms };
      return { repeat, ...times, gaps: [], outputTokens: 11, outcome: { kind: "ok" } };
    });
    const summary = summarize(requests, []);
    const load = { kind: "closed", concurrency: 1 } as const;
    return { name: `concurrency 1, ${variant}`, variant, load, durationMs: 1, requests, summary };
  };

  it("pairs rounds, so that what drifts between them falls out", () => {
    const ratios = compareVariants([point("a", [100, 1_000]), point("b", [110, 1_100])]);
    const e2e = ratios.find(({ metric }) => metric === "e2e p50");
    assert.deepEqual([e2e?.base, e2e?.variant], ["a", "b"]);
    for (const value of [e2e?.ratio.value, e2e?.ratio.low, e2e?.ratio.high]) {
      assert.ok(Math.abs((value ?? 0) - 1.1) < 0.005, `${value}`);
    }
    const throughput = ratios.find(({ metric }) => metric === "output tokens/s");
    assert.ok(Math.abs((throughput?.ratio.value ?? 0) - 1 / 1.1) < 0.005);
    assert.equal(
      ratios.find(({ metric }) => metric.startsWith("itl")),
      undefined,
      "nobody had any gap",
    );
  });

  it("names the load where there are several, and leaves out rounds that only one had", () => {
    const ratios = compareVariants([point("a", [100]), point("b", [200, 1]), point("a", [100]), point("b", [300])]);
    const e2e = ratios.filter(({ metric }) => metric.endsWith("e2e p50"));
    assert.deepEqual(
      e2e.map(({ metric }) => metric),
      ["concurrency 1: e2e p50", "concurrency 1: e2e p50"],
    );
    assert.deepEqual(
      e2e.map(({ ratio }) => Math.round(ratio.value * 10) / 10),
      [2, 3],
    );
  });
});
