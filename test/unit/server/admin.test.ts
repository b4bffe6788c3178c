import assert from "node:assert/strict";
import { request } from "node:http";
import { type Admin, createAdmin } from "../../../src/server/admin.js";
import type { SamplingPolicy } from "../../../src/tracing/context/sampling-policy.js";

const DEFAULTS: SamplingPolicy = { rate: 0.01, limit: 5, rules: [] };

describe("admin", () => {
  let tracing: { sampling: SamplingPolicy };
  let changes: SamplingPolicy[];
  let admin: Admin;
  let url: string;

  beforeEach(async () => {
    tracing = { sampling: DEFAULTS };
    changes = [];
    admin = createAdmin({ tracing, defaults: DEFAULTS, changed: (policy) => void changes.push(policy) });
    url = await admin.listen(0);
  });
  afterEach(() => admin.close());

  const put = (body: string, type = "application/json"): Promise<Response> =>
    fetch(`${url}/sampling`, { method: "PUT", headers: { "content-type": type }, body });

  it("listens on the loopback address", () => {
    assert.match(url, /^http:\/\/127\.0\.0\.1:\d+$/);
  });

  it("replaces what holds; what is left out is as the service was started", async () => {
    await put('{"rate": 1, "limit": null}');
    assert.deepEqual(tracing.sampling, { rate: 1, limit: null, rules: [] });
    await put('{"rules": [{"route": "/v1/completions", "rate": 0}]}');
    const expected = { rate: 0.01, limit: 5, rules: [{ route: "/v1/completions", rate: 0 }] };
    assert.deepEqual([tracing.sampling, changes.length], [expected, 2]);
    assert.deepEqual(await (await fetch(`${url}/sampling`)).json(), expected);
  });

  it("keeps what holds when it cannot use what comes", async () => {
    const statuses = [];
    for (const [body, type] of [
      ["{", undefined],
      ['{"rate": 2}', undefined],
      ['{"rate": 1}', "text/plain"],
    ] as const) {
      statuses.push((await put(body, type)).status);
    }
    assert.deepEqual([statuses, tracing.sampling, changes], [[400, 400, 415], DEFAULTS, []]);
  });

  it("answers to a local name only, whatever address a browser was led to", async () => {
    const statusFor = (host: string): Promise<number | undefined> =>
      new Promise((resolve) => {
        request(`${url}/sampling`, { headers: { host } }, (response) => {
          response.resume();
          resolve(response.statusCode);
        }).end();
      });
    assert.deepEqual([await statusFor("evil.example"), await statusFor("localhost:1")], [404, 200]);
    assert.equal((await fetch(`${url}/elsewhere`)).status, 404);
  });
});
