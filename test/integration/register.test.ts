/** Real programs under `--import vitrine/register`, and a collector that says what it got. */
import assert from "node:assert/strict";
import { traceFields } from "../../src/tracing/log-correlation.js";
import type { ZipkinSpan } from "../support/spans.js";
import { type ProgramOptions, program, REGISTER, runProgram } from "../support/traced-program.js";
import { FakeCollector } from "./tracing-collector.js";
import { freePort } from "./tracing-harness.js";

describe("vitrine/register", function () {
  this.timeout(60_000);
  let collector: FakeCollector;

  beforeEach(async () => {
    collector = await FakeCollector.start([202]);
  });

  afterEach(async () => {
    await collector.stop();
  });

  const env = (): Record<string, string> => ({ ZIPKIN_ENDPOINT: collector.endpoint });
  const spans = (): readonly ZipkinSpan[] => collector.received.flatMap((post) => post.spans);
  const names = (): string[] =>
    spans()
      .map(({ name }) => name)
      .sort();

  /** What holds for a program that is not traced, and what came of it when it is. */
  async function bothWays(ending: string, options: ProgramOptions = {}) {
    const args = [program("endings.cjs"), ending];
    const [plain, traced] = await Promise.all([
      runProgram(args, { ...options, flags: [] }),
      runProgram(args, { ...options, env: env() }),
    ]);
    const { stderr: _plain, ...expected } = plain;
    const { stderr, ...found } = traced;
    assert.deepEqual(found, expected);
    assert.ok(!stderr.includes("vitrine:"), stderr);
    return found;
  }

  it("loses no span however the program ends, and changes no ending", async () => {
    const endings = ["runs out", "process.exit", "exit code", "throws", "rejects"];
    const found = [];
    for (const ending of endings) found.push((await bothWays(ending)).code);
    assert.deepEqual(found, [0, 3, 4, 1, 1]);
    assert.deepEqual(
      names(),
      endings.map(() => "work"),
    );
  });

  it("leaves signals what they do, to the program's handlers and to guards", async () => {
    for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) {
      assert.equal((await bothWays("by signal", { signal })).signal, signal);
    }
    const signal = "SIGTERM";
    assert.equal((await bothWays("handles signal", { signal })).code, 5);
    assert.match((await bothWays("guarded", { signal })).stdout, /cleaned up/);
    assert.deepEqual(names(), ["goodbye", "work", "work", "work", "work", "work"]);
  });

  it("ends in bounded time when the collector does not answer, and says what was lost", async () => {
    const hanging = await FakeCollector.start(["hang"]);
    try {
      const { code, stderr } = await runProgram([program("endings.cjs"), "process.exit"], {
        env: { ZIPKIN_ENDPOINT: hanging.endpoint },
      });
      assert.equal(code, 3);
      assert.match(stderr, /^vitrine: .*1 ended, 0 delivered, 1 dropped/m);
    } finally {
      await hanging.stop();
    }
  });

  it("tells of a collector that is not there on stderr alone, once", async () => {
    const ZIPKIN_ENDPOINT = `http://127.0.0.1:${await freePort()}`;
    const { code, stdout, stderr } = await runProgram([program("endings.cjs"), "runs out"], {
      env: { ZIPKIN_ENDPOINT },
    });
    assert.deepEqual([code, stdout], [0, ""]);
    assert.match(stderr, /connection_failed/);
  });

  it("is one trace through services, clients and fetch", async () => {
    const { stderr } = await runProgram([program("service.cjs")], { env: env() });
    assert.equal(stderr, "");
    const [client, outer, fetched, inner] = [
      only("CLIENT", "GET", { "http.response.status_code": "200", "server.address": "127.0.0.1" }, hasNoPath),
      only("SERVER", "GET /questions/:id"),
      only("CLIENT", "GET", { "url.path": "/answers/7" }),
      only("SERVER", "GET /answers/:id"),
    ];
    assert.equal(outer.parentId, client.id);
    assert.equal(fetched.parentId, outer.id);
    assert.equal(inner.parentId, fetched.id);
    assert.equal(new Set(spans().map(({ traceId }) => traceId)).size, 1);
    assert.equal(outer.tags?.["http.route"], "/questions/:id");
    assert.equal(inner.localEndpoint?.serviceName, "vitrine");
    const all = JSON.stringify(spans());
    for (const secret of ["secret", "word", "user-agent", "user_agent"]) assert.ok(!all.includes(secret), secret);
  });

  const hasNoPath = ({ tags }: ZipkinSpan): boolean => tags?.["url.path"] === undefined;

  function only(
    kind: string,
    name: string,
    tags: Readonly<Record<string, string>> = {},
    and: (span: ZipkinSpan) => boolean = () => true,
  ): ZipkinSpan {
    const found = spans().filter(
      (span) =>
        span.kind === kind &&
        span.name === name &&
        Object.entries(tags).every(([key, value]) => span.tags?.[key] === value) &&
        and(span),
    );
    assert.equal(found.length, 1, `${kind} ${name}: ${JSON.stringify(spans(), null, 1)}`);
    return found[0] as ZipkinSpan;
  }

  it("names the trace in lines of pino, and of console while a request is served", async () => {
    const { stdout } = await runProgram([program("service.cjs")], { env: env() });
    const outer = only("SERVER", "GET /questions/:id");
    const inner = only("SERVER", "GET /answers/:id");
    const lines = stdout.trim().split("\n");
    const fieldsOf = ({ traceId, id }: ZipkinSpan) => traceFields({ traceId, spanId: id, sampled: true });
    const { trace_id, span_id, trace_flags } = fieldsOf(outer);
    assert.ok(lines.includes("listening"));
    assert.ok(lines.includes(`asked trace_id=${trace_id} span_id=${span_id} trace_flags=${trace_flags}`), stdout);
    assert.ok(lines.includes(JSON.stringify({ level: "info", ...fieldsOf(outer) })), stdout);
    const answering = lines.find((line) => line.includes("answering")) ?? "{}";
    const { msg, ...line } = JSON.parse(answering);
    assert.deepEqual({ ...line, ...fieldsOf(inner) }, line, `${msg}`);
  });

  it("follows worker threads, forked processes and clusters", async () => {
    const { stderr } = await runProgram([program("family.mjs")], { env: env() });
    assert.equal(stderr, "");
    assert.deepEqual(names(), ["child", "cluster", "main", "thread"]);
  });

  it("leaves node --test and its report alone", async () => {
    const { code, stdout } = await runProgram(["--test", "--test-reporter", "tap", program("passes.test.mjs")], {
      env: env(),
    });
    assert.equal(code, 0, stdout);
    assert.match(stdout, /# pass 1\n/);
    assert.deepEqual(names(), ["tested"]);
  });

  it("does nothing twice", async () => {
    const flags = ["--import", REGISTER, "--import", REGISTER];
    const again = { NODE_OPTIONS: `--import ${REGISTER}?again` };
    const { stderr } = await runProgram([program("endings.cjs"), "runs out"], { flags, env: { ...env(), ...again } });
    assert.equal(stderr, "");
    assert.deepEqual(names(), ["work"]);
  });

  it("steps back for a program that sets up OpenTelemetry itself, whoever comes first", async () => {
    const later = await runProgram([program("other-sdk.mjs")], { env: env() });
    const before = await runProgram([program("endings.cjs"), "runs out"], {
      flags: ["--import", program("other-sdk.mjs"), "--import", REGISTER],
      env: env(),
    });
    for (const { stdout, stderr } of [later, before]) {
      assert.equal(stdout, "work\n");
      assert.match(stderr, /^vitrine: this program sets up OpenTelemetry itself.*\n$/);
    }
    assert.deepEqual(names(), []);
  });

  it("is silent and absent where it is told so, and says what it lacks", async () => {
    const args = [program("endings.cjs"), "runs out"];
    const quiet = [
      { ENABLE_ZIPKIN_TRACING: "false", ...env() },
      { OTEL_SDK_DISABLED: "true", ...env() },
      { OTEL_TRACES_EXPORTER: "none", ...env() },
    ];
    for (const one of quiet) assert.equal((await runProgram(args, { env: one })).stderr, "");
    assert.match((await runProgram(args)).stderr, /^vitrine: no collector is configured.*\n$/);
    const wrong = await runProgram(args, { env: { ...env(), VITRINE_SAMPLE_RATE: "7" } });
    assert.equal(wrong.code, 0);
    assert.match(wrong.stderr, /^vitrine: the program runs untraced: VITRINE_SAMPLE_RATE: .*\n$/);
    assert.deepEqual(names(), []);
  });
});
