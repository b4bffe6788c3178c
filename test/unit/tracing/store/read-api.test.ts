import assert from "node:assert/strict";
import type { ZipkinSpan } from "../../../../src/tracing/export/zipkin-span.js";
import { ReadApi } from "../../../../src/tracing/store/read-api.js";
import { TraceStore } from "../../../../src/tracing/store/trace-store.js";
import { encoded } from "../../../support/encoded-span.js";
import { span, T, T_MS } from "./store-fixtures.js";

const A = "000000000000000a";
const B = "000000000000000b";
const C = "000000000000000c";

/** A and B by vitrine, C by another service; B is the newest. */
const SPANS: readonly ZipkinSpan[] = [
  span({ traceId: A, name: "post /v1/completions", duration: 500, tags: { "http.status_code": "200" } }),
  span({
    traceId: A,
    name: "model.generate",
    duration: 400,
    parentId: "0000000000000001",
    annotations: [{ timestamp: T, value: "first_token" }],
    tags: { "ai.model.name": "tiny" },
  }),
  span({
    traceId: B,
    name: "post /v1/completions",
    timestamp: T + 2_000,
    duration: 90_000,
    tags: { error: "queue_full", "http.status_code": "429" },
  }),
  span({
    traceId: C,
    name: "get /",
    timestamp: T + 1_000,
    localEndpoint: { serviceName: "gateway" },
    remoteEndpoint: { serviceName: "vitrine" },
    kind: "CLIENT",
  }),
];

function api(): ReadApi {
  const store = new TraceStore();
  for (const one of SPANS) store.add(encoded(one, 10));
  return new ReadApi(store, () => T_MS + 60_000);
}

function json(path: string): unknown {
  const { status, body } = api().get(path);
  assert.equal(status, 200, `${path}: ${body}`);
  return JSON.parse(body);
}

/** Ids of the traces a search finds, in order. */
function found(query: string): (string | undefined)[] {
  return (json(`/traces?${query}`) as ZipkinSpan[][]).map((spans) => spans[0]?.traceId);
}

describe("ReadApi", () => {
  it("lists services, span names and remote services", () => {
    assert.deepEqual(json("/services"), ["gateway", "vitrine"]);
    assert.deepEqual(json("/spans?serviceName=Vitrine"), ["model.generate", "post /v1/completions"]);
    assert.deepEqual(json("/remoteServices?serviceName=gateway"), ["vitrine"]);
    assert.deepEqual(json("/spans?serviceName=nobody"), []);
    assert.deepEqual([json("/autocompleteKeys"), json("/autocompleteValues?key=env")], [[], []]);
  });

  it("gives a trace by its id, in every spelling", () => {
    for (const id of [A, "a", `${"0".repeat(16)}${A}`]) {
      assert.deepEqual(json(`/trace/${id}`), SPANS.slice(0, 2));
    }
    assert.deepEqual(api().get("/trace/dead"), { status: 404, body: "dead not found" });
  });

  it("gives several traces, those that are there", () => {
    assert.deepEqual(json(`/traceMany?traceIds=${B},dead,${C}`), [[SPANS[2]], [SPANS[3]]]);
  });

  it("finds the newest traces first, at most 10 unless told", () => {
    assert.deepEqual(found(""), [B, C, A]);
    assert.deepEqual(found("limit=2"), [B, C]);
    const store = new TraceStore();
    for (let id = 1; id <= 12; id++) store.add(encoded(span({ traceId: id.toString(16).padStart(16, "0") }), 10));
    assert.equal(JSON.parse(new ReadApi(store, () => T_MS).get("/traces").body).length, 10);
  });

  it("filters by service and span name", () => {
    assert.deepEqual(found("serviceName=vitrine"), [B, A]);
    assert.deepEqual(found("serviceName=VITRINE&spanName=Model.Generate"), [A]);
    assert.deepEqual(found("spanName=all"), [B, C, A]);
    assert.deepEqual(found("serviceName=gateway&spanName=model.generate"), []);
    assert.deepEqual(found("remoteServiceName=vitrine"), [C]);
  });

  it("filters by tags and annotations, all of them", () => {
    const query = (text: string) => found(`annotationQuery=${encodeURIComponent(text)}`);
    assert.deepEqual(query("error"), [B]);
    assert.deepEqual(query("first_token"), [A]);
    assert.deepEqual(query("http.status_code=200"), [A]);
    assert.deepEqual(query("http.status_code"), [B, A]);
    assert.deepEqual(query("http.status_code=200 and ai.model.name=tiny and first_token"), [A]);
    assert.deepEqual(query("http.status_code=429 and ai.model.name=tiny"), []);
    assert.deepEqual(query("first_token=1"), []);
    assert.deepEqual(found("serviceName=gateway&annotationQuery=error"), []);
  });

  it("filters by a span's duration, in microseconds", () => {
    assert.deepEqual(found("minDuration=1001"), [B]);
    assert.deepEqual(found("minDuration=400&maxDuration=450"), [A]);
    assert.deepEqual(found("minDuration=90001"), []);
  });

  it("filters by time, in milliseconds", () => {
    assert.deepEqual(found(`endTs=${T_MS + 1}`), [C, A]);
    assert.deepEqual(found(`endTs=${T_MS + 2}&lookback=1`), [B, C]);
    assert.deepEqual(found(`endTs=${T_MS - 1}`), []);
  });

  it("links services", () => {
    assert.deepEqual(json(`/dependencies?endTs=${T_MS + 10}`), [{ parent: "gateway", child: "vitrine", callCount: 1 }]);
    assert.deepEqual(json(`/dependencies?endTs=${T_MS + 10}&lookback=1`), []);
  });

  const BAD: readonly [string, RegExp][] = [
    ["/spans", /serviceName is required/],
    ["/remoteServices", /serviceName is required/],
    ["/autocompleteValues", /key is required/],
    ["/traces?limit=ten", /limit is not a whole number/],
    ["/traces?limit=0", /limit <= 0/],
    ["/traces?lookback=-1", /lookback <= 0/],
    ["/traces?endTs=1e99", /endTs is not/],
    ["/traces?maxDuration=5", /only valid with minDuration/],
    ["/traces?minDuration=5&maxDuration=4", /maxDuration < minDuration/],
    ["/trace/A", /lower-case/],
    ["/trace/xyz", /trace id/],
    ["/trace/", /trace id/],
    ["/trace/%E0%A4%A", /malformed/],
    ["/traceMany?traceIds=a", /single trace/],
    ["/traceMany?traceIds=a,0a", /redundant/],
    ["/dependencies", /endTs is required/],
  ];
  for (const [path, message] of BAD) {
    it(`answers 400 to ${path}`, () => {
      const { status, body } = api().get(path);
      assert.equal(status, 400);
      assert.match(body, message);
    });
  }

  it("answers 404 outside the API, and never throws", () => {
    for (const path of ["/", "", "/nope", "//evil.example/services", "/trace/a/b", "http://["]) {
      assert.equal(api().get(path).status === 200, false, path);
    }
  });
});
