/** The embedded store answers what a real Zipkin answers: the same spans given to both, the same queries asked of both. */
import assert from "node:assert/strict";
import { ReadApi } from "../../src/tracing/store/read-api.js";
import { TraceStore } from "../../src/tracing/store/trace-store.js";
import { encoded } from "../support/encoded-span.js";
import { API, BEGIN, hex, MODEL, makeTrace, NOW, RANDOM_FROM, RUN, randomTrace, WEB } from "../support/query-traces.js";
import { requirePart } from "../support/requirements.js";
import { sharedZipkin } from "../support/zipkin-server.js";

const RANDOM = Array.from({ length: 200 }, (_, number) => randomTrace(number));
const TRACES = Array.from({ length: 14 }, (_, number) => makeTrace(number));
const ALL = [...RANDOM, ...TRACES].flat();
const [FIRST, SECOND] = [TRACES[0]?.[0]?.traceId ?? "", TRACES[1]?.[0]?.traceId ?? ""];
const WINDOW = `endTs=${BEGIN + 60_000}&lookback=120000`;

const QUERIES: readonly string[] = [
  "/services",
  ...[MODEL, API, WEB, MODEL.toUpperCase(), "nobody"].flatMap((name) => [
    `/spans?serviceName=${name}`,
    `/remoteServices?serviceName=${name}`,
    `/traces?serviceName=${name}&${WINDOW}&limit=100`,
  ]),
  "/spans",
  "/remoteServices",
  "/spans?serviceName=",
  "/remoteServices?serviceName=",
  ...[
    "",
    "limit=3",
    "limit=100",
    `serviceName=${API}&limit=4`,
    "limit=0",
    "limit=-1",
    "limit=x",
    `serviceName=${MODEL}&spanName=model.generate&limit=100`,
    `serviceName=${MODEL}&spanName=MODEL.Load&limit=100`,
    `serviceName=${API}&spanName=model.load`,
    `serviceName=${MODEL}&spanName=all&limit=100`,
    "spanName=select&limit=100",
    `remoteServiceName=${API}&limit=100`,
    `serviceName=${WEB}&remoteServiceName=${API}&limit=100`,
    `serviceName=${MODEL}&remoteServiceName=${API}&limit=100`,
    "annotationQuery=error&limit=100",
    `serviceName=${API}&annotationQuery=error&limit=100`,
    `serviceName=${MODEL}&annotationQuery=error&limit=100`,
    "annotationQuery=first_token&limit=100",
    "annotationQuery=first_token%20and%20error&limit=100",
    "annotationQuery=number%3D4&limit=100",
    "annotationQuery=number%3D4%20and%20http.path%3D/ask&limit=100",
    "annotationQuery=number%3D4%20and%20number%3D5&limit=100",
    "annotationQuery=number%3D4%20and%20number&limit=100",
    "annotationQuery=number%20and%20number%3D4&limit=100",
    `serviceName=${MODEL}&annotationQuery=number%3D4&limit=100`,
    "annotationQuery=first_token%3Dx&limit=100",
    "annotationQuery=%20&limit=100",
    "annotationQuery=%20error%20&limit=100",
    "annotationQuery=error%3D&limit=100",
    "minDuration=10000&limit=100",
    "minDuration=10000&maxDuration=12000&limit=100",
    `serviceName=${MODEL}&minDuration=3000&maxDuration=5000&limit=100`,
    `serviceName=${WEB}&minDuration=16000&limit=100`,
    "maxDuration=5000",
    "minDuration=5000&maxDuration=4000",
    "minDuration=0",
    "minDuration=x",
    "minDuration=-5",
  ].map((query) => `/traces?${WINDOW}&${query}`),
  ...[
    `endTs=${BEGIN + 5_000}&lookback=3000&limit=100`,
    `endTs=${BEGIN + 5_000}&lookback=1&limit=100`,
    `endTs=${BEGIN + 13_000}&lookback=86400000&limit=100`,
    `endTs=${BEGIN}&lookback=1000`,
    `endTs=${BEGIN - 1}&lookback=1000`,
    `endTs=${BEGIN + 5_000}`,
    "endTs=0",
    "endTs=x",
    `endTs=${BEGIN}&lookback=0`,
    `endTs=${BEGIN}&lookback=-1`,
  ].map((query) => `/traces?${query}`),
  ...[
    FIRST,
    SECOND,
    FIRST.toUpperCase(),
    `0${FIRST}`,
    FIRST.slice(1),
    hex(32),
    "x",
    "0",
    "0".repeat(32),
    "1".repeat(33),
  ].map((id) => `/trace/${id}`),
  ...[
    `${FIRST},${SECOND}`,
    `${SECOND},${hex(32)}`,
    `${hex(32)},${hex(32)}`,
    FIRST,
    `${FIRST},${FIRST}`,
    `${FIRST},x`,
    `${FIRST},`,
    "",
  ].map((ids) => `/traceMany?traceIds=${ids}`),
  "/traceMany",
  `/dependencies?${WINDOW}`,
  `/dependencies?endTs=${BEGIN + 5_000}&lookback=3000`,
  `/dependencies?endTs=${BEGIN + 60_000}`,
  `/dependencies?endTs=${BEGIN - 1}&lookback=1000`,
  "/dependencies",
  "/dependencies?endTs=x",
  "/dependencies?endTs=0",
  "/autocompleteKeys",
  "/autocompleteValues?key=none",
  "/autocompleteValues?key=",
  "/autocompleteValues",
  "/nothing",
];

/** Order within a trace, of links and of equally recent traces is nobody's promise; names of other suites are not ours. */
function normalized(path: string, body: string): unknown {
  const json = JSON.parse(body) as unknown[];
  if (path === "/services") return json.filter((name) => String(name).endsWith(RUN));
  return json.map((item) => (Array.isArray(item) ? sorted(item) : item)).sort(byText);
}

const sorted = (items: readonly unknown[]): unknown[] => items.map(keysSorted).sort(byText);
const byText = (one: unknown, other: unknown): number =>
  JSON.stringify(keysSorted(one)) < JSON.stringify(keysSorted(other)) ? -1 : 1;

function keysSorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(keysSorted);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([one], [other]) => (one < other ? -1 : 1))
      .map(([key, inner]) => [key, keysSorted(inner)]),
  );
}

describe("the embedded store beside a real Zipkin", function () {
  this.timeout(120_000);
  let zipkin: string;
  const api = (() => {
    const store = new TraceStore();
    for (const one of ALL) store.add(encoded(one));
    return new ReadApi(store, () => NOW);
  })();

  before(async function () {
    this.timeout(600_000);
    const start = await sharedZipkin();
    const why = start.kind === "running" ? "" : start.why;
    requirePart(this, { name: "a real Zipkin server", available: why === "", why, mandatoryInCi: true });
    if (start.kind !== "running") return;
    zipkin = `${start.server.url}/api/v2`;
    const headers = { "content-type": "application/json" };
    const body = JSON.stringify(ALL);
    const response = await fetch(`${zipkin}/spans`, { method: "POST", headers, body });
    assert.equal(response.status, 202);
    for (;;) {
      const last = await fetch(`${zipkin}/trace/${TRACES.at(-1)?.[0]?.traceId}`);
      if (last.ok && ((await last.json()) as unknown[]).length === TRACES.at(-1)?.length) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  });

  for (const path of QUERIES) {
    it(`answers ${path.replaceAll(RUN, "…")} alike`, async () => {
      const real = await fetch(zipkin + path);
      const text = await real.text();
      const ours = api.get(path);
      assert.equal(ours.status, real.status, `Zipkin: ${text}, vitrine: ${ours.body}`);
      if (real.status === 200) assert.deepEqual(normalized(path, ours.body), normalized(path, text));
    });
  }

  it("links the services of any trace alike", async () => {
    for (const [number, trace] of RANDOM.entries()) {
      const path = `/dependencies?endTs=${BEGIN + (RANDOM_FROM + number) * 1_000 + 500}&lookback=999`;
      const real = await (await fetch(zipkin + path)).text();
      assert.deepEqual(normalized(path, api.get(path).body), normalized(path, real), JSON.stringify(trace, null, 1));
    }
  });
});
