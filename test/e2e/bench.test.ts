/** `vitrine bench` as a user runs it, against the built server and against servers that it starts itself. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { BenchResult, RequestRecord } from "../../src/bench/result.js";
import { KeepingCollector } from "../support/canary.js";
import { PACKAGE_ROOT, runVitrine, VitrineProcess } from "../support/vitrine-process.js";

const MAIN = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));
const KEY = "sk-benchmark-canary";

interface Span {
  readonly traceId: string;
  readonly id: string;
  readonly parentId?: string;
  readonly kind?: string;
  readonly name: string;
  readonly tags?: Readonly<Record<string, string>>;
  readonly annotations?: readonly { readonly value: string }[];
}

function spansOf(collector: KeepingCollector): Span[] {
  const bodies = collector.text.split("\n").filter((line) => line.startsWith("[{"));
  return bodies.flatMap((body) => JSON.parse(body) as Span[]);
}

const isRefused = async (url: string): Promise<boolean> =>
  fetch(url).then(
    () => false,
    () => true,
  );

describe("vitrine bench", function () {
  this.timeout(60_000);
  const folder = mkdtempSync(join(tmpdir(), "vitrine-bench-"));
  const json = join(folder, "result.json");
  const result = (): BenchResult => JSON.parse(readFileSync(json, "utf8")) as BenchResult;
  after(() => rmSync(folder, { recursive: true }));

  describe("against a running server", () => {
    let collector: KeepingCollector;
    let vitrine: VitrineProcess;
    before(async () => {
      collector = await KeepingCollector.start();
      vitrine = await VitrineProcess.start({ flags: ["--zipkin-endpoint", collector.url] });
    });
    after(async () => {
      await vitrine.stop();
      collector.stop();
    });

    const run = (...args: string[]) =>
      runVitrine(
        ["bench", "--url", vitrine.url, "--prompts", "grammar", "--max-tokens", "12", "--json", json, ...args],
        {
          OPENAI_API_KEY: KEY,
        },
      );

    it("measures a sweep, and each request is a trace with its server's spans below the harness's own", async () => {
      const more = [
        "--requests",
        "6",
        "--concurrency",
        "1,3",
        "--repeats",
        "2",
        "--slo",
        "ttft:10s",
        "--slo",
        "e2e:1m",
      ];
      const { code, stdout, stderr } = await run(...more, "--zipkin-endpoint", collector.url);
      assert.equal(code, 0, stderr);
      const { points, slos, target, runId } = result();
      assert.deepEqual(
        points.map(({ name, summary }) => [name, summary.ok]),
        [
          ["concurrency 1", 12],
          ["concurrency 3", 12],
        ],
      );
      assert.deepEqual([slos.length, target.model], [2, "tiny"]);
      assert.ok(points.every(({ summary }) => summary.goodput?.value === summary.requestsPerSecond.value));
      const records = points.flatMap(({ requests }) => requests);
      assert.ok(records.every(wellTimed), "times are in their order");
      const servers = () =>
        new Set(spansOf(collector).flatMap(({ kind, traceId }) => (kind === "SERVER" ? [traceId] : [])));
      await vitrine.until("its spans are sent", () => records.every(({ traceId = "" }) => servers().has(traceId)));
      const spans = spansOf(collector);
      for (const { traceId } of records) {
        const own = spans.filter((span) => span.traceId === traceId);
        const [root, ...otherRoots] = own.filter(({ parentId }) => parentId === undefined);
        assert.deepEqual([root?.kind, root?.tags?.["bench.run_id"], otherRoots.length], ["CLIENT", runId, 0]);
        assert.deepEqual(
          root?.annotations?.map(({ value }) => value),
          ["sent", "first_token"],
        );
        const server = own.find(({ parentId }) => parentId === root?.id);
        assert.equal(server?.kind, "SERVER");
        const ids = new Set(own.map(({ id }) => id));
        assert.ok(
          own.every(({ parentId }) => parentId === undefined || ids.has(parentId)),
          "no orphans",
        );
      }
      assert.equal(spans.filter(({ name }) => name === "bench.run").length, 1);
      for (const place of [stdout, stderr, readFileSync(json, "utf8"), collector.text]) assert.ok(!place.includes(KEY));
    });

    it("plays an open loop of chats, with cancelling and without streaming", async () => {
      const chats = await run(
        "--rate",
        "50",
        "--requests",
        "12",
        "--turns",
        "3",
        "--cancel-rate",
        "0.5",
        "--cancel-after",
        "1ms",
      );
      assert.equal(chats.code, 0, chats.stderr);
      const [point] = result().points;
      assert.equal(point?.requests.length, 12);
      assert.ok((point?.summary.cancelled ?? 0) > 0);
      const whole = await run("--requests", "2", "--no-stream", "--propagation", "none");
      assert.equal(whole.code, 0, whole.stderr);
      const { latencies } = result().points[0]?.summary ?? {};
      assert.deepEqual(Object.keys(latencies ?? {}), ["e2e", "queue"]);
      assert.ok(result().points[0]?.requests.every(({ traceId }) => traceId === undefined));
    });

    it("says what is wrong: options that contradict each other, a model that is not there, no target", async () => {
      const both = await run("--rate", "5", "--concurrency", "2");
      assert.deepEqual([both.code, /choose one kind of load/.test(both.stderr)], [2, true]);
      const targets = await run("--ab", "tracing=off,on");
      assert.deepEqual([targets.code, /--url, --ab: choose one/.test(targets.stderr)], [2, true]);
      const other = await run("--model", "other", "--requests", "1");
      assert.deepEqual([other.code, /http 404/.test(other.stderr)], [2, true]);
      const unread = await runVitrine(["bench", "--url", "http://127.0.0.1:9", "--prompts", "/nowhere.jsonl"]);
      assert.deepEqual([unread.code, /nowhere\.jsonl: cannot be read/.test(unread.stderr)], [2, true]);
      const nobody = await runVitrine(["bench", "--url", "http://127.0.0.1:9", "--requests", "1"]);
      assert.deepEqual([nobody.code, /nothing answers at http:\/\/127.0.0.1:9\/v1/.test(nobody.stderr)], [2, true]);
    });
  });

  it("compares two servers that it starts, and stops them", async () => {
    const args = ["bench", "--ab", "tracing=off,on", "--requests", "4", "--repeats", "2", "--prompts", "grammar"];
    const { code, stderr } = await runVitrine([...args, "--max-tokens", "8", "--json", json, "--", "--model", "tiny"]);
    assert.equal(code, 0, stderr);
    const { points, comparison = [], target } = result();
    assert.deepEqual(
      points.map(({ variant }) => variant),
      ["tracing=off", "tracing=on"],
    );
    const orders = points.map(({ requests }) => requests.map(({ intended }) => intended));
    const [off = [], on = []] = orders;
    assert.ok((off[0] ?? 0) < (on[0] ?? 0) && (on.at(-1) ?? 0) < (off.at(-1) ?? 0), "A B B A");
    assert.ok(comparison.some(({ metric, ratio }) => metric === "e2e p50" && (ratio.low ?? 0) < (ratio.high ?? 0)));
    assert.ok(await isRefused(target.url));
  });

  it("reports what was measured when it is interrupted, and leaves no server behind", async () => {
    const flags = [
      "--ab",
      "trace-detail=phase,step",
      "--requests",
      "8",
      "--repeats",
      "999",
      "--prompts",
      "grammar",
      "--max-tokens",
      "8",
      "--json",
      json,
    ];
    const child = spawn(process.execPath, [MAIN, "bench", ...flags], {
      cwd: PACKAGE_ROOT,
      stdio: ["ignore", "ignore", "pipe"],
    });
    let told = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      told += text;
      if (/repeat 3/.test(told) && !child.killed) child.kill("SIGINT");
    });
    const code = await new Promise((resolve) => child.once("close", resolve));
    assert.equal(code, 130, told);
    const { points, target } = result();
    assert.deepEqual(
      points.map(({ variant }) => variant),
      ["trace-detail=phase", "trace-detail=step"],
    );
    assert.ok(points.every(({ summary }) => summary.ok >= 16));
    assert.ok(await isRefused(target.url));
  });
});

function wellTimed({
  intended,
  sent,
  firstToken = 0,
  end,
  gaps,
  promptTokens = 0,
  outputTokens = 0,
}: RequestRecord): boolean {
  const last = gaps.reduce((sum, gap) => sum + gap, firstToken);
  return intended <= sent && sent <= firstToken && last <= end + 0.1 && promptTokens > 0 && outputTokens > 0;
}
