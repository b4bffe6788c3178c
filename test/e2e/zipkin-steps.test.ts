/** From requests to the engine's steps and back, in a real Zipkin and in the embedded store. */
import assert from "node:assert/strict";
import type { Trace, ZipkinSpan } from "../support/spans.js";
import { TracedService } from "../support/traced-service.js";
import { Caller, ZipkinClient } from "../support/zipkin-client.js";

const TOKENS = 150;

const numberOf = (step: ZipkinSpan): number => Number(step.tags?.["ai.step.number"]);
const valuesOf = (step: ZipkinSpan): string[] => (step.annotations ?? []).map(({ value }) => value);

/** The phases of a request's forward passes, with the numbers in the ids of the steps they name. */
function phasesOf(trace: Trace) {
  return ["prefill", "decode"].map((phase) => {
    const { tags = {} } = trace.named("inference.forward", { "ai.phase": phase });
    const number = (which: string): number => Number(tags[`ai.step.${which}`]?.slice(5, 16));
    return { phase, tags, first: number("first"), last: number("last") };
  });
}

describe("with --trace-detail step", function () {
  this.timeout(120_000);
  let service: TracedService;
  let requests: readonly string[];
  const denied = new Caller();

  before(async function () {
    service = await TracedService.start(this, ["--trace-detail", "step"]);
    const unsampled = service.stream(3 * TOKENS, undefined, { ...denied.b3Multi, "X-B3-Sampled": "0" });
    const answers = await Promise.all([1, 2, 3, 4].map(() => service.stream(TOKENS)));
    requests = answers.map(({ traceId }) => traceId);
    await unsampled;
  });

  after(async () => {
    await service?.stop();
  });

  for (const where of ["a real Zipkin", "the embedded store"]) {
    describe(`in ${where}`, () => {
      const client = (): ZipkinClient =>
        where === "a real Zipkin" ? service.zipkin : new ZipkinClient(`${service.vitrine.url}/zipkin`);
      const stepsOf = async (traceId: string, enough: number): Promise<ZipkinSpan[]> => {
        const query = { serviceName: "vitrine", spanName: "engine.step", annotationQuery: traceId, limit: "1000" };
        const traces = await client().awaitTraces(query, enough);
        assert.ok(traces.every(({ spans }) => spans.length === 1));
        return traces.flatMap(({ spans }) => spans).sort((a, b) => numberOf(a) - numberOf(b));
      };

      it("a request's spans name its steps, and a search for its id finds them all", async () => {
        for (const traceId of requests) {
          const phases = phasesOf(await client().awaitTrace(traceId));
          const total = phases.reduce((sum, { tags }) => sum + Number(tags["ai.steps"]), 0);
          const steps = await stepsOf(traceId, total);
          assert.equal(steps.length, total, "a step is there once");
          for (const { phase, tags, first, last } of phases) {
            const own = steps.filter((step) => numberOf(step) >= first && numberOf(step) <= last);
            assert.equal(own.length, Number(tags["ai.steps"]));
            assert.ok(own.every((step) => step.tags?.["ai.phase"] === phase));
            assert.deepEqual([own[0]?.traceId, own.at(-1)?.traceId], [tags["ai.step.first"], tags["ai.step.last"]]);
            const slowest = (await client().trace(tags["ai.step.slowest"] ?? "")).named("engine.step");
            assert.equal(slowest.duration, Math.max(...own.map(({ duration }) => duration)));
          }
        }
      });

      it("a step names the requests in it that were sampled, and they name it", async () => {
        const [traceId = ""] = requests;
        const traces = new Map<string, Trace>();
        for (const id of requests) traces.set(id, await client().awaitTrace(id));
        const steps = await stepsOf(traceId, 1);
        let shared = 0;
        for (const step of steps) {
          const named = valuesOf(step);
          assert.equal(step.tags?.["ai.step.requests"], `${named.length}`);
          assert.ok(named.length <= Number(step.tags?.["ai.batch.size"]));
          shared = Math.max(shared, named.length);
          for (const id of named) {
            const trace = traces.get(id);
            assert.ok(trace, `step ${numberOf(step)} names ${id}, which has no trace`);
            const phase = phasesOf(trace).find(({ phase }) => phase === step.tags?.["ai.phase"]);
            assert.ok(phase && phase.first <= numberOf(step) && numberOf(step) <= phase.last);
          }
        }
        assert.ok(shared > 1, "requests shared steps");
        assert.ok(
          steps.some(({ tags }) => Number(tags?.["ai.batch.size"]) > Number(tags?.["ai.step.requests"])),
          "the request that was not sampled took part, unnamed",
        );
        assert.deepEqual(await client().traces({ spanName: "engine.step", annotationQuery: denied.traceId }), []);
      });
    });
  }
});
