import assert from "node:assert/strict";
import { Counter, Registry } from "prom-client";
import { LatencyHistograms } from "../../../../src/server/metrics/latency-histograms.js";
import { contentTypeFor, createRegistry, inFormat } from "../../../../src/server/metrics/metrics-format.js";
import { FakeTrace } from "../../../support/fake-tracing.js";

const OPEN = Registry.OPENMETRICS_CONTENT_TYPE;
const PLAIN = Registry.PROMETHEUS_CONTENT_TYPE;
const INCOMING = { method: "POST", path: "/", headers: {}, start: 0, remote: {} };

describe("contentTypeFor", () => {
  it("goes by what the scraper prefers", () => {
    const prometheus =
      "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    const answers = [
      prometheus,
      undefined,
      "*/*",
      "text/plain",
      "application/openmetrics-text; q=0",
      "application/openmetrics-text;q=0.4, text/plain;q=0.5",
    ];
    assert.deepEqual(
      answers.map((accept) => contentTypeFor(accept) === OPEN),
      [true, false, false, false, false, false],
    );
  });
});

describe("inFormat", () => {
  it("leaves the names of counters as they are for the next scrape", async () => {
    const registry = createRegistry();
    const counter = new Counter({ name: "things_total", help: "Things", registers: [registry] });
    counter.inc(2);
    const before = await inFormat(registry, PLAIN).metrics();
    for (let scrape = 0; scrape < 2; scrape++) {
      assert.equal(
        await inFormat(registry, OPEN).metrics(),
        "# HELP things Things\n# TYPE things counter\nthings_total 2\n# EOF\n",
      );
    }
    assert.equal(await inFormat(registry, PLAIN).metrics(), before);
    assert.match(before, /^things_total 2$/m);
  });
});

describe("LatencyHistograms", () => {
  it("names a kept trace as exemplar, and no other", async () => {
    const registry = createRegistry();
    const latencies = new LatencyHistograms(registry, "tiny");
    latencies.observe("firstToken", 0.02, new FakeTrace(INCOMING, 1, false));
    latencies.observe("firstToken", 3, new FakeTrace(INCOMING, 2));
    latencies.observe("queue", 3, undefined);
    const exemplars = (await inFormat(registry, OPEN).metrics()).split("\n").filter((line) => line.includes(" # {"));
    assert.equal(exemplars.length, 1);
    assert.match(
      exemplars[0] ?? "",
      /^vllm:time_to_first_token_seconds_bucket\{le="5",model_name="tiny"\} 2 # \{trace_id="0{31}2",span_id="0{15}2"\} 3 /,
    );
    assert.doesNotMatch(await inFormat(registry, PLAIN).metrics(), / # \{/);
  });

  it("tells the time between tokens under both of vLLM's names", async () => {
    const registry = createRegistry();
    new LatencyHistograms(registry, "tiny").observeInterToken(0.01);
    const text = await inFormat(registry, PLAIN).metrics();
    for (const name of ["inter_token_latency_seconds", "time_per_output_token_seconds"]) {
      assert.ok(text.includes(`\nvllm:${name}_count{model_name="tiny"} 1\n`), name);
    }
  });
});
