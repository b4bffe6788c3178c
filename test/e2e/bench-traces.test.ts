/** A benchmark of a real worker: its traces read back from where they are, and what is made of its files. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { BenchResult, TraceSummary } from "../../src/bench/result.js";
import { TracedService } from "../support/traced-service.js";
import { runVitrine } from "../support/vitrine-process.js";

const LOAD = ["--prompts", "grammar", "--max-tokens", "24", "--warmup", "2"];

describe("vitrine bench and the traces it caused", function () {
  this.timeout(90_000);
  let service: TracedService;
  let folder: string;

  before(async function () {
    service = await TracedService.start(this);
    folder = mkdtempSync(join(tmpdir(), "vitrine-bench-"));
  });
  after(async () => {
    await service?.stop();
    if (folder !== undefined) rmSync(folder, { recursive: true });
  });

  const file = (name: string): string => join(folder, name);
  const bench = async (flags: readonly string[], status = 0) => {
    const result = await runVitrine(["bench", ...flags]);
    assert.equal(result.code, status, result.stderr + result.stdout);
    return result;
  };
  const readResult = (name: string) => JSON.parse(readFileSync(file(name), "utf8")) as BenchResult;

  /** Every request is one whole trace, and its parts are what the client measured. */
  const checkTraces = ({ points }: BenchResult): void => {
    for (const { requests, traces, name } of points) {
      assert.ok(traces !== undefined, `${name} has no traces`);
      assert.deepEqual([traces.complete, traces.missing, traces.orphans], [requests.length, [], 0]);
      assert.ok((traces.coverage?.min ?? 0) > 0.9, `server spans are covered to ${traces.coverage?.min}`);
      const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
      const sum = (parts: TraceSummary["e2e"]): number => Object.values(parts).reduce((total, part) => total + part, 0);
      const close = (found: number, wanted: number): void =>
        assert.ok(Math.abs(found / wanted - 1) < 1e-6, `the parts add up to ${found}, not to ${wanted}`);
      close(sum(traces.e2e), mean(requests.map(({ intended, end }) => end - intended)));
      close(sum(traces.ttft), mean(requests.map(({ intended, firstToken = 0 }) => firstToken - intended)));
      for (const part of ["tokenize", "prefill", "decode"] as const) assert.ok(traces.e2e[part] > 0, `no ${part}`);
    }
  };

  it("reads them from the worker's own store, and writes a table, a result, rows and a report", async () => {
    const files = ["--json", file("a.json"), "--csv", file("a.csv"), "--html", file("a.html")];
    const load = ["--concurrency", "1,4", "--requests", "16", ...LOAD];
    const { stdout } = await bench(["--url", service.vitrine.url, ...load, ...files]);
    const result = readResult("a.json");
    checkTraces(result);
    assert.match(stdout, /concurrency 4 {2}traces: 16 of 16 complete, 0 orphaned spans/);
    assert.match(stdout, /where it went/);
    assert.equal(readFileSync(file("a.csv"), "utf8").trim().split("\r\n").length, 1 + 32);
    assert.match(readFileSync(file("a.html"), "utf8"), /<h2>Where the time went<\/h2>/);
  });

  it("reads them from a Zipkin with the harness's own spans, and links to it", async () => {
    const url = service.zipkin.base;
    const flags = ["--zipkin-endpoint", url, "--requests", "8", "--json", file("zipkin.json"), ...LOAD];
    const { stdout } = await bench(["--url", service.vitrine.url, ...flags]);
    checkTraces(readResult("zipkin.json"));
    assert.ok(stdout.includes(`${url}/zipkin/traces/`), stdout);
  });

  it("says plainly that a target without traces has none", async () => {
    const { stdout } = await bench([
      "--url",
      service.vitrine.url,
      "--zipkin-endpoint",
      "http://127.0.0.1:9",
      "--requests",
      "2",
      ...LOAD,
    ]);
    assert.match(stdout, /traces: not applicable\. http:\/\/127\.0\.0\.1:9\/api\/v2 could not be read/);
  });

  it("compares results: not different from itself, and not at all with another load", async () => {
    const { stdout } = await bench(["compare", file("a.json"), file("a.json"), "--fail-above", "5%"]);
    assert.match(stdout, /No difference is more than noise, over \d+ comparisons together/);
    const slower = readResult("a.json");
    const points = slower.points.map((point) => ({
      ...point,
      requests: point.requests.map((one) => ({ ...one, end: one.intended + 10 * (one.end - one.intended) })),
    }));
    writeFileSync(file("slower.json"), JSON.stringify({ ...slower, points }));
    const failed = await bench(["compare", file("a.json"), file("slower.json"), "--fail-above", "5%"], 1);
    assert.match(failed.stderr, /concurrency 4: e2e p50 is worse, 10\.\d+ times a's/);
    writeFileSync(file("none.json"), JSON.stringify({ ...slower, points: [] }));
    const none = await bench(["compare", file("a.json"), file("none.json")], 2);
    assert.match(none.stderr, /have no load in common/);
  });

  it("plans capacity from the traces that are there", async () => {
    const answer = await fetch(`${service.vitrine.url}/zipkin/api/v2/traces?limit=1000`);
    writeFileSync(file("traces.json"), await answer.text());
    const { stdout } = await bench([
      "plan",
      file("traces.json"),
      "--rate",
      "1",
      "--slo",
      "ttft:5s",
      "--slo",
      "tpot:1s",
    ]);
    assert.match(stdout, /1 worker is enough for 1 requests\/s/);
    const wrong = await bench(["plan", file("a.json"), "--rate", "1", "--slo", "ttft:5s"], 2);
    assert.match(wrong.stderr, /a\.json: not a list of Zipkin's traces/);
  });
});
