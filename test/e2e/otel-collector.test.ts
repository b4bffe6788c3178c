/** The real OpenTelemetry Collector takes what is sent to it, by Zipkin's protocol in both encodings and by OTLP, without a complaint. */
import assert from "node:assert/strict";
import { OtelCollector, otelCollector, type Protocol } from "../support/otel-collector.js";
import { requirePart } from "../support/requirements.js";
import { VitrineProcess } from "../support/vitrine-process.js";

const PHASES = ["model.generate", "tokenize", "queue", "kv_cache.allocate", "inference.forward", "stream"];

describe("a real OpenTelemetry Collector", function () {
  this.timeout(960_000);
  let collector: OtelCollector;

  before(async function () {
    requirePart(this, await otelCollector());
  });

  beforeEach(async () => {
    collector = await OtelCollector.start();
  });

  afterEach(() => collector?.stop());

  for (const encoder of ["json", "proto"]) {
    it(`takes Zipkin (${encoder}) and OTLP side by side, the same spans by both, without a complaint`, async () => {
      const endpoints = ["--zipkin-endpoint", collector.url("zipkin"), "--otlp-endpoint", collector.url("otlp")];
      const flags = [...endpoints, "--zipkin-encoder", encoder, "--trace-detail", "step"];
      const vitrine = await VitrineProcess.start({ flags });
      try {
        const good = await ask(vitrine, { prompt: "Once", max_tokens: 5, stream: true });
        const bad = await ask(vitrine, { prompt: "Once", max_tokens: -1 });
        assert.deepEqual(await vitrine.stop(), { code: 0, signal: null });
        const ended = endedOf(vitrine);
        for (const protocol of ["zipkin", "otlp"] as const) {
          assert.match(exitLine(vitrine, protocol), new RegExp(`${ended} ended, ${ended} delivered, 0 dropped`));
          await collector.until(() => collector.spans(protocol).length >= ended);
          const names = (id: string) =>
            collector.spans(protocol).flatMap(({ traceId, name }) => (traceId === id ? [name.toLowerCase()] : []));
          for (const phase of ["post /v1/completions", ...PHASES]) assert.ok(names(good).includes(phase), phase);
          assert.ok(names(bad).includes("post /v1/completions"));
        }
        assert.deepEqual(idsOf(collector, "zipkin"), idsOf(collector, "otlp"));
        assert.equal(idsOf(collector, "otlp").length, ended);
        assert.deepEqual(collector.complaints, []);
      } finally {
        await vitrine.kill();
      }
    });
  }
});

/** Gives the request's trace id. */
async function ask({ url }: VitrineProcess, body: object): Promise<string> {
  const headers = { "content-type": "application/json" };
  const answer = await fetch(`${url}/v1/completions`, {
    method: "POST",
    headers,
    body: JSON.stringify({ model: "tiny", ...body }),
  });
  await answer.text();
  return answer.headers.get("x-b3-traceid") ?? "";
}

const exitLine = ({ output }: VitrineProcess, protocol: Protocol): string =>
  output.find((line) => line.includes(`Spans since start (${protocol})`)) ?? "";

const endedOf = (vitrine: VitrineProcess): number => Number(/(\d+) ended/.exec(exitLine(vitrine, "otlp"))?.[1]);

const idsOf = (collector: OtelCollector, protocol: Protocol): readonly string[] =>
  collector
    .spans(protocol)
    .map(({ traceId, id }) => `${traceId} ${id}`)
    .sort();
