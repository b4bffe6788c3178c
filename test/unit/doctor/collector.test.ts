import assert from "node:assert/strict";
import { type CollectorWorld, checkCollector } from "../../../src/doctor/collector.js";
import type { Destination } from "../../../src/tracing/export/destination.js";
import type { SendResult } from "../../../src/tracing/export/sender.js";
import { cures, lines } from "./findings.js";

const ZIPKIN: Destination = { kind: "zipkin", endpoint: "http://zipkin:9411/api/v2/spans" };
const OTLP: Destination = { kind: "otlp", endpoint: "http://tempo:4318/v1/traces" };

/** A collector that answers so to a span, and so, in turn, to questions for it. */
function world(sent: SendResult, ...statuses: readonly (number | undefined)[]) {
  let now = 1_700_000_000_000;
  let asked = 0;
  const seen = { spans: [] as string[], closed: 0, traceIds: new Set<string>() };
  const collector: CollectorWorld = {
    open: async ({ endpoint }) => ({
      target: endpoint,
      send: async (spans) => {
        seen.spans.push(...spans);
        return sent;
      },
      close: () => {
        seen.closed++;
      },
    }),
    readBack: async (_, traceId) => {
      seen.traceIds.add(traceId);
      return statuses[Math.min(asked++, statuses.length - 1)];
    },
    now: () => now,
    pause: async (ms) => {
      now += ms;
    },
  };
  return { collector, seen };
}

const refused = (cause: Exclude<SendResult, { ok: true }>["cause"], reason: string): SendResult => ({
  ok: false,
  cause,
  reason,
});

describe("doctor: collector", () => {
  it("sends a span to Zipkin and waits until it shows it", async () => {
    const { collector, seen } = world({ ok: true }, 404, 404, 200);
    const found = lines(await checkCollector(ZIPKIN, "checkout", collector));
    const span = JSON.parse(seen.spans[0] ?? "") as { traceId: string; name: string; localEndpoint: object };
    assert.equal(span.name, "vitrine doctor");
    assert.deepEqual(span.localEndpoint, { serviceName: "checkout" });
    assert.deepEqual([...seen.traceIds], [span.traceId]);
    assert.deepEqual(found, [
      "ok Zipkin at http://zipkin:9411/api/v2/spans took a span",
      `ok and shows it as trace ${span.traceId}`,
    ]);
    assert.equal(seen.closed, 1);
  });

  it("warns where Zipkin does not come to show it", async () => {
    const { collector } = world({ ok: true }, 404);
    const found = await checkCollector(ZIPKIN, "vitrine", collector);
    assert.match(lines(found)[1] ?? "", /^warning it does not show trace [0-9a-f]{32} after 5 s/);
    assert.match(cures(found)[0] ?? "", /COLLECTOR_SAMPLE_RATE/);
  });

  it("does not mind a collector that answers no queries", async () => {
    for (const status of [undefined, 405, 500]) {
      const { collector } = world({ ok: true }, status);
      assert.match(
        lines(await checkCollector(ZIPKIN, "vitrine", collector))[1] ?? "",
        /^ok it does not answer queries/,
      );
    }
  });

  it("sends an OTLP collector a record, and asks it nothing", async () => {
    const { collector, seen } = world({ ok: true });
    assert.deepEqual(lines(await checkCollector(OTLP, "vitrine", collector)), [
      "ok the OTLP collector at http://tempo:4318/v1/traces took a span",
    ]);
    assert.equal(seen.traceIds.size, 0);
    assert.ok("attributes" in (JSON.parse(seen.spans[0] ?? "") as object));
  });

  it("says what a failure means, and closes the connection all the same", async () => {
    const cases = [
      [refused("connection_failed", "ECONNREFUSED"), /Start the collector, or correct --zipkin-endpoint/],
      [refused("tls_failed", "the certificate is expired"), /certificates/],
      [refused("server_error", "HTTP status 503"), /log and storage/],
      [refused("rejected", "HTTP status 404"), /path of --zipkin-endpoint/],
    ] as const;
    for (const [sent, cure] of cases) {
      const { collector, seen } = world(sent);
      const found = await checkCollector(ZIPKIN, "vitrine", collector);
      assert.match(lines(found)[0] ?? "", /^problem Zipkin at .* did not take a span: /);
      assert.match(cures(found)[0] ?? "", cure);
      assert.equal(seen.closed, 1);
    }
  });
});
