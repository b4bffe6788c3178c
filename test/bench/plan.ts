/**
 * How well `vitrine bench plan` foresees: a worker is recorded at some loads of a closed loop, a plan is made of those
 * traces alone, and then others, of an open loop, are measured and compared with what it said.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { seededRandom } from "../../models/tiny/random.js";
import { pointValues } from "../../src/bench/metrics/values.js";
import { simulate } from "../../src/bench/plan/capacity.js";
import { fitStepModel } from "../../src/bench/plan/step-model.js";
import { requestSamples } from "../../src/bench/plan/step-samples.js";
import type { BenchResult, RequestRecord } from "../../src/bench/result.js";
import { readTraces } from "../../src/bench/traces/trace-reader.js";
import { tracesSchema } from "../../src/bench/traces/zipkin-json.js";
import { PACKAGE_ROOT, VitrineProcess } from "../support/vitrine-process.js";
import { quantiles } from "./report.js";

const MAIN = join(PACKAGE_ROOT, "dist", "src", "cli", "main.js");
const { values } = parseArgs({
  options: {
    model: { type: "string", default: "tiny" },
    /** Of each recorded load. */
    requests: { type: "string", default: "150" },
    rates: { type: "string", default: "5,15,30" },
    /** Of each measured rate. */
    seconds: { type: "string", default: "12" },
  },
});
const LENGTHS = ["--prompt-tokens", "uniform:24,160", "--max-tokens", "uniform:16,96", "--ignore-eos"];
const RATES = values.rates.split(",").map(Number);

const folder = mkdtempSync(join(tmpdir(), "vitrine-plan-"));
const vitrine = await VitrineProcess.start({ flags: ["--model", values.model], env: { LOG_LEVEL: "silent" } });
try {
  bench(["--concurrency", "1,2,4,8", "--requests", values.requests, "--warmup", "8"]);
  const answer = await fetch(`${vitrine.url}/zipkin/api/v2/traces?limit=2000`);
  const samples = requestSamples(tracesSchema.parse(await answer.json()));
  const model = fitStepModel(samples);
  if (model === undefined) throw new Error("too few traces were recorded");
  const { prefill, decode, overheadMs } = model;
  console.log(`recorded: ${samples.length} requests; outside of steps ${overheadMs.toFixed(2)} ms`);
  for (const [name, fit] of Object.entries({ prefill, decode })) {
    const terms = fit.coefficients.map((each) => each.toPrecision(3)).join(", ");
    const error = `${(fit.typicalError * 100).toFixed(1)} %`;
    console.log(`${name}: ${terms}; R² ${fit.rSquared.toFixed(3)}, typical error ${error}, ${fit.outliers} left out`);
  }
  console.log(
    "\n| requests/s | | planned | by the server's spans | ratio | by the client | ratio |\n|---|---|---|---|---|---|---|",
  );
  const lengths = samples.map(({ promptTokens, outputTokens, cachedTokens }) => ({
    promptTokens,
    outputTokens,
    cachedTokens,
  }));
  const options = { maxSequences: 32, prefillChunk: 256, random: () => seededRandom(1) };
  for (const rate of RATES) {
    const planned = simulate(model, { perSecond: rate, lengths }, 1, [], options);
    const point = bench(["--rate", String(rate), "--requests", String(Math.ceil(rate * Number(values.seconds)))])
      .points[0];
    if (point === undefined) throw new Error("nothing was measured");
    const served = await servedOf(point.requests);
    for (const metric of ["ttft", "tpot", "e2e"] as const) {
      for (const [i, quantile] of [0.5, 0.95].entries()) {
        const said = planned[metric][i] ?? Number.NaN;
        const [server, client] = [served[metric], pointValues(point, metric)].map(
          (all) => quantiles(all, [quantile])[0] ?? 0,
        );
        const cells = [server ?? 0, client ?? 0].flatMap((was) => [`${was.toFixed(2)} ms`, (said / was).toFixed(2)]);
        console.log(`| ${[rate, `${metric} p${quantile * 100}`, `${said.toFixed(2)} ms`, ...cells].join(" | ")} |`);
      }
    }
  }
} finally {
  await vitrine.stop();
  rmSync(folder, { recursive: true });
}

/** What the server's own spans say of these requests, in milliseconds. */
async function servedOf(records: readonly RequestRecord[]) {
  const ids = records.flatMap(({ traceId }) => traceId ?? []);
  const read = await readTraces(ids, { api: `${vitrine.url}/zipkin/api/v2`, clientStored: false });
  const requests = read.kind === "read" ? [...read.traces.values()] : [];
  const all = requests.flatMap((request) => {
    const { server, spans } = request;
    const first = request.annotation("first_token");
    const decode = spans.find(({ tags }) => tags["ai.phase"] === "decode");
    const tokens = Number(request.generate?.tags["ai.response.length"]);
    if (server === undefined || first === undefined || decode === undefined || !(tokens > 1)) return [];
    const written = Math.max(first, spans.find(({ name }) => name === "stream")?.timestamp ?? 0);
    const ttft = (written - server.timestamp) / 1e3;
    return [{ ttft, tpot: decode.duration / 1e3 / (tokens - 1), e2e: server.duration / 1e3 }];
  });
  return { ttft: all.map(({ ttft }) => ttft), tpot: all.map(({ tpot }) => tpot), e2e: all.map(({ e2e }) => e2e) };
}

function bench(flags: readonly string[]): BenchResult {
  const file = join(folder, "result.json");
  execFileSync(
    process.execPath,
    [MAIN, "bench", "--url", vitrine.url, "--tokenizer", values.model, ...LENGTHS, ...flags, "--json", file],
    {
      stdio: ["ignore", "ignore", "inherit"],
    },
  );
  return JSON.parse(readFileSync(file, "utf8")) as BenchResult;
}
