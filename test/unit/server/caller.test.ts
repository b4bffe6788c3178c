import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { ANONYMOUS, callerOf, createIdentityHasher } from "../../../src/server/caller.js";
import { FewLabels } from "../../../src/server/metrics/few-labels.js";
import { apiKeyOf } from "../../../src/tracing/context/api-key.js";

const hmac = (key: string, text: string) => createHmac("sha256", key).update(text).digest("hex").slice(0, 16);

describe("callers", () => {
  it("are known by the API key of either header", () => {
    assert.equal(apiKeyOf({ authorization: "Bearer one", "x-api-key": "two" }), "one");
    assert.equal(apiKeyOf({ authorization: "Basic dXNlcg==", "x-api-key": "two" }), "two");
    assert.equal(apiKeyOf({ "x-api-key": "" }), undefined);
    assert.equal(
      callerOf(undefined, () => "hash"),
      ANONYMOUS,
    );
  });

  it("hash alike everywhere with one key, and unlike with none", () => {
    assert.deepEqual(createIdentityHasher("key")("alice"), { current: hmac("key", "alice") });
    assert.notDeepEqual(createIdentityHasher()("alice"), createIdentityHasher()("alice"));
  });

  it("have the hash under the key before, too, while keys change", () => {
    const hashes = createIdentityHasher("new", "old")("alice");
    assert.deepEqual(hashes, { current: hmac("new", "alice"), previous: createIdentityHasher("old")("alice").current });
  });
});

describe("FewLabels", () => {
  it("gives the first values labels of their own, and the rest one", () => {
    const labels = new FewLabels(2);
    assert.deepEqual(
      ["a", "b", "c", "a", "d"].map((value) => labels.labelOf(value)),
      ["a", "b", "other", "a", "other"],
    );
  });
});
