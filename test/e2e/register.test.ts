/** What a real Zipkin shows of programs that are not ours, each with a real package and the shipped model, run as their users would. */
import assert from "node:assert/strict";
import { requirePart } from "../support/requirements.js";
import { descendants, isInside, type Trace, type ZipkinSpan } from "../support/spans.js";
import { program, RunningProgram, runProgram } from "../support/traced-program.js";
import { PACKAGES } from "../support/transformers-packages.js";
import { UserProject } from "../support/user-project.js";
import { PACKAGE_ROOT } from "../support/vitrine-process.js";
import { Caller, ZipkinClient } from "../support/zipkin-client.js";
import { sharedZipkin } from "../support/zipkin-server.js";

const MODELS = `${PACKAGE_ROOT}models`;
/** What a story begins with, asked for and told. */
const CONTENT = "Once upon a time";

describe("traces of programs that are not ours, in a real Zipkin", function () {
  this.timeout(120_000);
  let env: Record<string, string>;
  let zipkin: ZipkinClient;

  before(async function () {
    // The first time they are downloads, of Zipkin and below of packages.
    this.timeout(600_000);
    const start = await sharedZipkin();
    const why = start.kind === "running" ? "" : start.why;
    requirePart(this, { name: "a real Zipkin server", available: why === "", why, mandatoryInCi: true });
    if (start.kind !== "running") throw new Error(why);
    zipkin = new ZipkinClient(start.server.url);
    env = { ENABLE_ZIPKIN_TRACING: "true", ZIPKIN_ENDPOINT: start.server.url };
  });

  const projects: UserProject[] = [];

  after(() => {
    for (const one of projects) one.remove();
  });

  function project(context: Mocha.Context, name: string, file: string, major: string, ours: string[] = []) {
    const library = PACKAGES.find(({ version }) => version.startsWith(major));
    if (library === undefined) throw new Error(`no version ${major}`);
    const made = new UserProject(context, name, file, library, ours);
    projects.push(made);
    return made;
  }

  describe("caller, Express and transformers.js 4, fetch, Fastify and transformers.js 3", () => {
    let caller: Caller;
    let trace: Trace;

    before(async function () {
      this.timeout(600_000);
      const reviews = project(this, "reviews", "models/reviews.cjs", "3", ["fastify"]);
      const stories = project(this, "stories", "models/stories.mjs", "4", ["express"]);
      const downstream = await RunningProgram.start([reviews.program, reviews.models], { env });
      const service = await RunningProgram.start([stories.program, stories.models, downstream.url], { env });
      caller = new Caller();
      const response = await fetch(`${service.url}/stories?key=secret`, { method: "POST", headers: caller.b3Multi });
      const { story, review } = (await response.json()) as { readonly story: string; readonly review: string };
      assert.ok(story.startsWith(CONTENT) && review.startsWith(story), "the program answers as it does untraced");
      await zipkin.report([caller.span()]);
      // Each ends by the signal, and its spans arrive all the same.
      const ends = [await service.stop(), await downstream.stop()];
      assert.deepEqual(
        ends.map(({ signal, stderr }) => [signal, stderr]),
        [
          ["SIGTERM", ""],
          ["SIGTERM", ""],
        ],
      );
      trace = await zipkin.trace(caller.traceId);
    });

    const of = (service: string, name: string): ZipkinSpan =>
      trace.only(`${name} of ${service}`, (span) => span.localEndpoint?.serviceName === service && span.name === name);
    const parents = (span: ZipkinSpan): string[] => {
      const parent = trace.spans.find(({ id }) => id === span.parentId);
      return parent === undefined ? [] : [`${parent.localEndpoint?.serviceName} ${parent.name}`, ...parents(parent)];
    };

    it("is one trace, from the caller through both services to the last forward pass", () => {
      assert.deepEqual(parents(of("reviews", "model.generate")), [
        "reviews post /reviews",
        "stories post",
        "stories post /stories",
        "caller ask",
      ]);
      assert.deepEqual(parents(of("stories", "model.generate")).slice(-3), [
        "stories pipeline",
        "stories post /stories",
        "caller ask",
      ]);
      for (const service of ["stories", "reviews"]) {
        const phases = trace.childrenOf(of(service, "model.generate")).flatMap(({ tags }) => tags?.["ai.phase"] ?? []);
        assert.deepEqual(phases.sort(), ["decode", "prefill"], `${trace}`);
      }
    });

    it("says what the service did, in tags as the server's", () => {
      const { tags = {} } = of("stories", "model.generate");
      assert.deepEqual(
        [tags["ai.model.name"], tags["ai.model.dtype"], tags["ai.prompt.length"], tags["ai.response.length"]],
        ["model", "q4", "5", "24"],
      );
      assert.equal(of("stories", "post /stories").tags?.["http.route"], "/stories");
      assert.equal(of("reviews", "post /reviews").tags?.["http.response.status_code"], "200");
    });

    it("has every span inside its parent", () => {
      const root = trace.only("the caller's", ({ id }) => id === caller.spanId);
      const below = descendants(trace, root);
      assert.equal(below.length, trace.spans.length - 1, `no orphans:\n${trace}`);
      for (const span of below) {
        const parent = trace.only("its parent", ({ id }) => id === span.parentId);
        // A client has its answer before the server is done with it: of that span it holds the start only.
        const held = parent.kind === "CLIENT" ? { ...span, duration: 0 } : span;
        assert.ok(isInside(held, parent), `${span.name} sticks out of ${parent.name}:\n${trace}`);
      }
    });

    it("holds nothing of what was written, asked or answered", () => {
      const all = JSON.stringify(trace.spans);
      for (const text of [CONTENT, "upon", "secret", "draft=1"]) assert.ok(!all.includes(text), text);
    });
  });

  /** All that a service reported, by trace. */
  async function tracesOf(serviceName: string, enough: number): Promise<readonly Trace[]> {
    return zipkin.awaitTraces({ serviceName, limit: "10" }, enough);
  }

  it("shows a script on @xenova/transformers 2", async function () {
    this.timeout(600_000);
    const script = project(this, "script", "models/script.mjs", "2");
    const { code, stdout, stderr } = await runProgram([script.program, script.models], { env });
    // Its ONNX Runtime has much to say about the graph.
    assert.ok(code === 0 && !stderr.includes("vitrine:"), stderr);
    assert.ok(stdout.startsWith("the"));
    const traces = await tracesOf("script", 2);
    const names = traces.flatMap(({ spans }) => spans.map(({ name }) => name));
    for (const name of ["model.load", "session.create", "tokenize", "model.generate", "inference.forward"]) {
      assert.ok(names.includes(name), `${name} among ${names}`);
    }
  });

  it("shows runs of onnxruntime-node alone", async () => {
    const named = { ...env, OTEL_SERVICE_NAME: "session", OTEL_RESOURCE_ATTRIBUTES: "service.version=7" };
    const { code, stdout, stderr } = await runProgram([program("models/session.cjs"), MODELS], { env: named });
    assert.deepEqual([code, stdout, stderr], [0, "1,1,1024\n", ""]);
    const spans = (await tracesOf("session", 2)).flatMap((trace) => trace.spans);
    assert.deepEqual(spans.map(({ name }) => name).sort(), ["inference.forward", "model.load"]);
    assert.ok(spans.every(({ tags }) => tags?.["service.version"] === "7"));
  });
});
