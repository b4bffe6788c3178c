import assert from "node:assert/strict";
import { seededRandom } from "../../../../models/tiny/random.js";
import { ratePerWorker, simulate, workersFor } from "../../../../src/bench/plan/capacity.js";
import { describePlan } from "../../../../src/bench/plan/describe-plan.js";
import { planCapacity } from "../../../../src/bench/plan/plan-capacity.js";
import { decodeMs, fitStepModel, prefillMs } from "../../../../src/bench/plan/step-model.js";
import { requestSamples } from "../../../../src/bench/plan/step-samples.js";
import { type PlannedRequest, type ServedRequest, SimulatedWorker } from "../../../../src/bench/plan/worker.js";
import { EXACT_MODEL, workerTrace, workerTraces } from "../../../support/worker-traces.js";

const limits = { maxSequences: 32, prefillChunk: 256 };
const options = { ...limits, random: () => seededRandom(1) };
const close = (found: number, wanted: number, share = 1e-6): void =>
  assert.ok(Math.abs(found / wanted - 1) <= share, `${found} for ${wanted}`);

describe("a simulated worker", () => {
  const serve = (requests: readonly (Omit<PlannedRequest, "cachedTokens"> & { cachedTokens?: number })[]) => {
    const served: ServedRequest[] = [];
    const worker = new SimulatedWorker(EXACT_MODEL, limits, (_, result) => served.push(result));
    for (const request of requests) {
      worker.advance(request.arrival);
      worker.submit({ cachedTokens: 0, ...request });
    }
    worker.advance(Number.POSITIVE_INFINITY);
    return { served, worker };
  };

  it("takes for a lone request its prefill, and a step for each further token", () => {
    const { served } = serve([{ arrival: 100, promptTokens: 50, outputTokens: 3 }]);
    const prefill = prefillMs(EXACT_MODEL, 50, 50 * 50);
    const steps = decodeMs(EXACT_MODEL, 1, 51) + decodeMs(EXACT_MODEL, 1, 52);
    close(served[0]?.ttft ?? 0, prefill + 3);
    close(served[0]?.e2e ?? 0, prefill + steps + 3);
    close(served[0]?.tpot ?? 0, steps / 2);
  });

  it("computes no more of a prompt than the cache lacks", () => {
    const { served } = serve([{ arrival: 0, promptTokens: 50, outputTokens: 1, cachedTokens: 40 }]);
    close(served[0]?.ttft ?? 0, prefillMs(EXACT_MODEL, 10, 10 * 50) + 3);
  });

  it("cuts long prompts into chunks, and lets who generates have a step between them", () => {
    const { served, worker } = serve([
      { arrival: 0, promptTokens: 1, outputTokens: 40 },
      { arrival: 1, promptTokens: 600, outputTokens: 1 },
    ]);
    const chunks = [256, 256, 88].map((count, i) => prefillMs(EXACT_MODEL, count, count * (256 * i + count)));
    const prefill = chunks.reduce((sum, ms) => sum + ms, 0);
    const [long, short] = served as [ServedRequest, ServedRequest];
    assert.equal(long.tpot, undefined, "one token is no time between tokens");
    assert.ok(long.ttft > prefill + 2 * decodeMs(EXACT_MODEL, 1, 2) && long.ttft < prefill + 15);
    assert.ok(short.e2e > prefill);
    assert.equal(worker.mostRows, 1);
  });

  it("runs no more at once than it may, and loses none", () => {
    const { served, worker } = serve(
      Array.from({ length: 100 }, () => ({ arrival: 0, promptTokens: 5, outputTokens: 9 })),
    );
    assert.equal(served.length, 100);
    assert.equal(worker.mostRows, 32);
    assert.equal(worker.load, 0);
  });
});

describe("the cost of steps, from traces", () => {
  it("is found again where every step took exactly what it does", () => {
    const model = fitStepModel(requestSamples(workerTraces()));
    close(model?.overheadMs ?? 0, 3, 1e-3);
    for (const rows of [1, 6, 16]) {
      close(decodeMs(model ?? assert.fail(), rows, rows * 300), decodeMs(EXACT_MODEL, rows, rows * 300), 0.01);
    }
    close(prefillMs(model ?? assert.fail(), 200, 200 * 200), prefillMs(EXACT_MODEL, 200, 200 * 200), 0.02);
    assert.ok((model?.decode.rSquared ?? 0) > 0.999);
    assert.deepEqual(model?.decode.rows, [1, 8]);
  });

  it("takes out of a decode what prefills of others took of its time", () => {
    const shape = { prompt: 100, output: 41, rows: 2 };
    const alone = requestSamples([workerTrace("a", 0, shape)])[0]?.decode?.ms ?? 0;
    const trace = workerTrace("a", 0, shape);
    const other = workerTrace("b", 20, { prompt: 400, output: 2, rows: 2 });
    const prefill = prefillMs(EXACT_MODEL, 400, 400 * 400);
    const longer = trace.map((span) => {
      const decodes = span.tags["ai.phase"] === "decode" || span.id === "generate" || span.id === "server";
      return decodes ? { ...span, duration: span.duration + Math.round(prefill * 1e3) } : span;
    });
    close(requestSamples([longer, other])[0]?.decode?.ms ?? 0, alone, 0.001);
    const elsewhere = other.map((span) => ({ ...span, localEndpoint: { serviceName: "another" } }));
    assert.ok((requestSamples([longer, elsewhere])[0]?.decode?.ms ?? 0) > alone * 1.1, "another worker takes nothing");
  });

  it("is not misled by a fifth of the requests taking twice as long", () => {
    const traces = workerTraces().map((trace, index) =>
      index % 5 === 0 ? trace.map((span) => ({ ...span, duration: span.duration * 2 })) : trace,
    );
    const model = fitStepModel(requestSamples(traces)) ?? assert.fail();
    close(decodeMs(model, 4, 800), decodeMs(EXACT_MODEL, 4, 800), 0.05);
    close(prefillMs(model, 200, 200 * 200), prefillMs(EXACT_MODEL, 200, 200 * 200), 0.1);
  });

  it("leaves out a request that was disturbed, cancelled or preempted, and needs ten others", () => {
    const traces = workerTraces();
    const slow = workerTrace("slow", 9e6, { prompt: 100, output: 30, rows: 1 }).map((span) =>
      span.tags["ai.phase"] === "decode" ? { ...span, duration: span.duration * 20 } : span,
    );
    const model = fitStepModel(requestSamples([...traces, slow]));
    assert.equal(model?.decode.outliers, 1);
    close(decodeMs(model ?? assert.fail(), 4, 800), decodeMs(EXACT_MODEL, 4, 800), 0.02);
    const cancelled = traces.map((trace) =>
      trace.map((span) => ({ ...span, tags: { ...span.tags, "ai.outcome": "cancelled" } })),
    );
    assert.deepEqual(requestSamples(cancelled), []);
    const twice = traces[0]?.flatMap((span) => (span.tags["ai.phase"] === "prefill" ? [span, span] : [span])) ?? [];
    assert.deepEqual(requestSamples([twice]), []);
    assert.equal(fitStepModel(requestSamples(traces.slice(0, 9))), undefined);
  });
});

describe("planning capacity", function () {
  this.timeout(20_000);
  const load = (perSecond: number) => ({
    perSecond,
    lengths: [{ promptTokens: 100, outputTokens: 50, cachedTokens: 0 }],
  });
  const goal = { slos: [{ metric: "ttft", limitMs: 60 } as const], attainment: 0.95 };

  it("finds a nearly idle worker to serve as fast as a lone request, and one that is flooded to meet nothing", () => {
    const idle = simulate(EXACT_MODEL, load(0.1), 1, goal.slos, options);
    close(idle.ttft[0], prefillMs(EXACT_MODEL, 100, 100 * 100) + 3, 0.01);
    assert.equal(idle.attainment, 1);
    assert.ok(idle.utilization < 0.02);
    const flooded = simulate(EXACT_MODEL, load(500), 1, goal.slos, options);
    assert.ok(flooded.attainment < 0.05 && flooded.utilization > 0.99);
  });

  it("gives the fewest workers that meet the goal, near what each holds by itself", () => {
    const perWorker = ratePerWorker(EXACT_MODEL, load(10), goal, options);
    const outlooks = workersFor(EXACT_MODEL, load(5 * perWorker), goal, options);
    const [enough, fewer] = [outlooks?.at(-1), outlooks?.at(-2)];
    assert.ok(enough !== undefined && enough.workers >= 4 && enough.workers <= 5, `${enough?.workers}`);
    assert.ok(enough.attainment >= goal.attainment);
    assert.ok(fewer === undefined || fewer.attainment < goal.attainment);
  });

  it("says how good the fit is, what is enough, and where it leaves what was recorded", () => {
    const question = { rate: 60, slo: goal.slos, attainment: 0.95, ...limits };
    const plan = planCapacity(workerTraces(), { ...question, promptTokens: 100, outputTokens: 50 }, options.random);
    const text = describePlan(plan ?? assert.fail(), { width: 120, color: false });
    assert.match(text, /decode: 1 ms \+ 500 µs a request \+ 1 µs a token attended to/);
    assert.match(text, /R² 1\.000, typical error 0\.\d %/);
    assert.match(text, /\d workers? (is|are) enough for 60 requests\/s/);
    const long = planCapacity(
      workerTraces(),
      { ...question, promptTokens: 2_000, rate: 1, slo: [{ metric: "ttft", limitMs: 2_000 }] },
      options.random,
    );
    assert.match(long?.warnings.join() ?? "", /Extrapolated: tokens of one request up to 2\d{3}, recorded up to/);
  });

  it("says so where no number of workers is enough", () => {
    const question = { rate: 1, slo: [{ metric: "tpot", limitMs: 0.1 } as const], attainment: 0.95, ...limits };
    const plan = planCapacity(workerTraces(), question, options.random);
    assert.match(describePlan(plan ?? assert.fail(), { width: 120, color: false }), /No number of workers is enough/);
  });
});
