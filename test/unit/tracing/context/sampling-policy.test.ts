import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { VitrineError } from "../../../../src/errors.js";
import { parseSamplingPolicy, rateFor, type SamplingPolicy } from "../../../../src/tracing/context/sampling-policy.js";

const DEFAULTS: SamplingPolicy = { rate: 0.01, limit: 5, rules: [] };
const KEY = "sk-premium";
const HASH = createHash("sha256").update(KEY).digest("hex");

const parse = (document: unknown): SamplingPolicy =>
  parseSamplingPolicy(typeof document === "string" ? document : JSON.stringify(document), "rules.json", DEFAULTS);

describe("parseSamplingPolicy", () => {
  it("completes what is given with the defaults", () => {
    assert.deepEqual(parse({}), DEFAULTS);
    assert.deepEqual(parse({ rate: 0.5, limit: null }), { rate: 0.5, limit: null, rules: [] });
  });

  it("takes one key hash or several, in any case, and header names in any case", () => {
    const { rules } = parse({
      rules: [
        { name: "premium", api_key_sha256: HASH.toUpperCase(), rate: 1 },
        { api_key_sha256: [HASH, "0".repeat(64)], headers: { "X-Team": "Blue" }, rate: 0.5 },
      ],
    });
    assert.deepEqual(rules, [
      { name: "premium", api_key_sha256: [HASH], rate: 1 },
      { api_key_sha256: [HASH, "0".repeat(64)], headers: { "x-team": "Blue" }, rate: 0.5 },
    ]);
  });

  const broken: [unknown, RegExp][] = [
    ["{", /^rules\.json: this is not JSON\.$/],
    ["[]", /^rules\.json: expected an object\.$/],
    [{ rate: 2 }, /^rules\.json: rate: expected a share from 0 to 1\.$/],
    [{ limit: 0 }, /^rules\.json: limit: expected more than 0, or null for no limit\.$/],
    [{ rules: {} }, /^rules\.json: rules: expected a list of rules\.$/],
    [{ rules: [{ rate: 1 }, {}] }, /^rules\.json: rules\[1\]\.rate: expected a share from 0 to 1\.$/],
    [{ rules: [{ rate: 1, modle: "tiny" }] }, /^rules\.json: rules\[0\]: unknown field "modle"\.$/],
    [{ rules: [{ rate: 1, api_key_sha256: KEY }] }, /rules\[0\]\.api_key_sha256: expected a SHA-256 in hex, 64 digits/],
    [
      { rules: [{ rate: 1, api_key_sha256: [HASH, "ab"] }] },
      /rules\[0\]\.api_key_sha256\[1\]: expected a SHA-256 in hex/,
    ],
    [
      { rules: [{ rate: 1, headers: { "x-team": 1 } }] },
      /rules\[0\]\.headers\.x-team: expected the header's exact value/,
    ],
  ];
  for (const [document, message] of broken) {
    it(`refuses ${JSON.stringify(document).replaceAll(HASH, "…")}`, () => {
      assert.throws(
        () => parse(document),
        (error) =>
          error instanceof VitrineError &&
          error.code === "config_invalid" &&
          message.test(error.message) &&
          !error.message.includes(KEY),
      );
    });
  }
});

describe("rateFor", () => {
  const policy = parse({
    rules: [
      { api_key_sha256: HASH, model: "tiny", rate: 1 },
      { api_key_sha256: HASH, rate: 0.5 },
    ],
  });
  const rate = (headers: Record<string, string>, model = "tiny"): number =>
    rateFor(policy, model, { path: "/v1/completions", headers });

  it("knows API keys by their hash, however they came", () => {
    assert.equal(rate({ authorization: `Bearer ${KEY}` }), 1);
    assert.equal(rate({ "x-api-key": KEY }), 1);
    assert.equal(rate({ authorization: "Bearer sk-other" }), 0.01);
    assert.equal(rate({}), 0.01);
  });

  it("wants every condition of a rule", () => {
    assert.equal(rate({ "x-api-key": KEY }, "large"), 0.5);
  });

  it("is the policy's for what is no request", () => {
    assert.equal(rateFor(policy, "tiny", undefined), 0.01);
  });
});
