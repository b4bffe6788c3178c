import assert from "node:assert/strict";
import type { ErrorBody } from "../../src/server/error-response.js";
import { LIMITS, ServerHarness, sseData } from "../support/server-harness.js";

const errorOf = async (response: Response): Promise<ErrorBody["error"]> => ((await response.json()) as ErrorBody).error;
const bearer = (key: string): RequestInit => ({ headers: { authorization: `Bearer ${key}` } });

describe("server: places of one API key", () => {
  let harness: ServerHarness;
  beforeEach(async () => {
    harness = await ServerHarness.start({ limits: { ...LIMITS, maxPerKey: 2 } });
  });
  afterEach(() => harness.stop());

  it("are limited, and say so; other keys and callers without one have their own", async () => {
    const running = [harness.complete({}, bearer("a")), harness.complete({}, { headers: { "x-api-key": "a" } })];
    const first = await harness.engine.nextRequest();
    await harness.engine.nextRequest();
    const refused = await harness.complete({ temperature: "not even read" }, bearer("a"));
    assert.equal(refused.status, 429);
    assert.ok(Number(refused.headers.get("retry-after")) >= 1);
    const error = await errorOf(refused);
    assert.deepEqual([error.code, error.type], ["key_limit_reached", "rate_limit_error"]);
    assert.match(error.message, /This API key has 2 answers/);
    running.push(harness.complete({}, bearer("b")), harness.complete(), harness.complete());
    for (let i = 0; i < 3; i++) await harness.engine.nextRequest();
    assert.match((await errorOf(await harness.complete())).message, /without an API key/);
    first.admit().prefill().finish();
    assert.equal((await running[0])?.status, 200);
    await harness.tracing.traces[0]?.finished;
    running.push(harness.complete({}, bearer("a")));
    await harness.engine.nextRequest();
    for (const fake of harness.engine.requests) if (!fake.ended) fake.admit().prefill().finish();
    assert.ok((await Promise.all(running)).every(({ status }) => status === 200));
    assert.equal((await fetch(`${harness.url}/ready`)).status, 200, "one key's limit is not the server's");
    const metrics = await (await fetch(`${harness.url}/metrics`)).text();
    assert.match(metrics, /outcome="key_limit_reached"} 2/);
  });

  it("are as many as the answers asked for, and are given back however a request ends", async () => {
    const never = await errorOf(await harness.complete({ n: 3 }));
    assert.equal(never.param, "n");
    const both = harness.complete({ n: 2 });
    const [one, two] = [await harness.engine.nextRequest(), await harness.engine.nextRequest()];
    assert.equal((await harness.complete()).status, 429);
    one.admit().fail({ code: "inference_failed", message: "m" });
    two.admit();
    assert.equal((await both).status, 500);
    for (let i = 0; i < 3; i++) assert.equal((await harness.complete({ prompt: "x".repeat(400) })).status, 400);
    harness.engine.play = (fake) => fake.admit().prefill().finish();
    assert.equal((await harness.complete({ n: 2 })).status, 200);
  });

  it("never show the key", async () => {
    harness.engine.play = (fake) => fake.admit().prefill().finish();
    await (await harness.complete({ cache_salt: "zebra-salt" }, bearer("zebra-key"))).text();
    await harness.tracing.traces[0]?.finished;
    const seen = JSON.stringify([
      harness.log,
      harness.tracing.traces.map(({ calls }) => calls),
      harness.engine.requests.map(({ request }) => request),
    ]);
    assert.ok(!seen.includes("zebra"));
  });
});

describe("server: deadlines", () => {
  const within = (ms: string): RequestInit => ({ headers: { "x-envoy-expected-rq-timeout-ms": ms } });

  it("are the proxy's where that is shorter", async () => {
    const harness = await ServerHarness.start();
    const response = await harness.complete({}, within("30"));
    assert.equal(response.status, 504);
    const error = await errorOf(response);
    assert.equal(error.code, "request_timeout");
    assert.match(error.message, /0\.03 s.*x-envoy-expected-rq-timeout-ms/);
    assert.deepEqual(harness.engine.requests[0]?.cancels, ["timeout"]);
    await harness.stop();
  });

  it("are this server's where the proxy's is longer, or not a number", async () => {
    const harness = await ServerHarness.start({ limits: { ...LIMITS, requestTimeoutMs: 30 } });
    for (const ms of ["60000", "0", "soon"]) {
      assert.match((await errorOf(await harness.complete({}, within(ms)))).message, /--request-timeout/);
    }
    await harness.stop();
  });

  it("end streams, too", async () => {
    const harness = await ServerHarness.start();
    const response = harness.complete({ stream: true }, within("60"));
    (await harness.engine.nextRequest()).admit().prefill().text("a");
    const events = sseData(await (await response).text());
    assert.equal((events.at(-1) as ErrorBody).error.code, "request_timeout");
    await harness.stop();
  });
});

describe("server: whose prompts are cached together", () => {
  const asked = async (
    prefixSalt: "key" | "none",
  ): Promise<(fields: object, init?: RequestInit) => Promise<string | undefined>> => {
    const harness = await ServerHarness.start({ prefixSalt });
    harness.engine.play = (fake) => fake.admit().prefill().finish();
    after(() => harness.stop());
    return async (fields, init) => {
      assert.equal((await harness.complete(fields, init)).status, 200);
      return harness.engine.requests.at(-1)?.request.cacheSalt;
    };
  };

  it("is told by the API key", async () => {
    const salt = await asked("key");
    const a = await salt({}, bearer("a"));
    assert.equal(await salt({}, bearer("a")), a);
    assert.equal(await salt({}, { headers: { "x-api-key": "a" } }), a, "one key, whichever header it comes in");
    assert.notEqual(await salt({}, bearer("b")), a);
    assert.equal(await salt({}), await salt({}));
    assert.notEqual(await salt({}), a);
    const own = await salt({ cache_salt: "s" }, bearer("a"));
    assert.equal(await salt({ cache_salt: "s" }, bearer("a")), own);
    assert.equal(
      new Set([own, a, await salt({ cache_salt: "s" }, bearer("b")), await salt({ cache_salt: "s" })]).size,
      4,
    );
  });

  it("is everybody with --prefix-salt none, but for cache_salt", async () => {
    const salt = await asked("none");
    assert.equal(await salt({}, bearer("a")), "");
    assert.equal(await salt({}, bearer("b")), "");
    const own = await salt({ cache_salt: "s" }, bearer("a"));
    assert.notEqual(own, "");
    assert.equal(await salt({ cache_salt: "s" }, bearer("b")), own);
  });
});

describe("server: priority", () => {
  it("goes to the engine and into the trace as it was asked for", async () => {
    const harness = await ServerHarness.start();
    harness.engine.play = (fake) => fake.admit().prefill().finish();
    await harness.complete({ priority: -4 });
    await harness.complete();
    assert.deepEqual(
      harness.engine.requests.map(({ request }) => request.priority),
      [-4, 0],
    );
    assert.equal(harness.tracing.traces[0]?.attributes?.priority, -4);
    await harness.stop();
  });
});
