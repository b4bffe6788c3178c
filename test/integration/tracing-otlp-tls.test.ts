/** Mutual TLS with an OTLP collector: the stock exporter reads the files that OpenTelemetry's own variables name. */
import assert from "node:assert/strict";
import { copyFileSync, truncateSync } from "node:fs";
import { OtlpSender } from "../../src/tracing/export/otlp-sender.js";
import type { SendResult } from "../../src/tracing/export/sender.js";
import type { SpanRecord } from "../../src/tracing/export/span-record.js";
import type { Pair } from "../support/certificates.js";
import { mutualTls } from "../support/mutual-tls.js";
import { StrictServer } from "../support/strict-server.js";

const VARIABLES = {
  ca: "OTEL_EXPORTER_OTLP_CERTIFICATE",
  cert: "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
  key: "OTEL_EXPORTER_OTLP_CLIENT_KEY",
} as const;
type Files = Partial<Record<keyof typeof VARIABLES, string>>;

const SPAN: SpanRecord = {
  traceId: "463ac35c9f6413ad48485a3953bb6124",
  spanId: "00fb4a1d1a96d3f0",
  kind: 0,
  name: "tokenize",
  start: 1_700_000_000_000_000,
  end: 1_700_000_000_000_100,
  debug: false,
  failed: false,
  statusMessage: "",
  attributes: {},
  events: [],
};

describe("mutual TLS with an OTLP collector", function () {
  this.timeout(30_000);
  const tls = mutualTls();

  afterEach(() => {
    for (const variable of Object.values(VARIABLES)) delete process.env[variable];
  });

  function senderWith(files: Files, url = tls.collector.url): OtlpSender {
    for (const [file, path] of Object.entries(files)) process.env[VARIABLES[file as keyof Files]] = path;
    return new OtlpSender(`${url}/v1/traces`, {}, { serviceName: "vitrine" });
  }

  const sendBy = (sender: OtlpSender): Promise<SendResult> => sender.send([JSON.stringify(SPAN)], 10_000);

  async function send(files: Files, url?: string): Promise<SendResult> {
    const sender = senderWith(files, url);
    const result = await sendBy(sender);
    sender.close();
    return result;
  }

  const causeOf = (result: SendResult): string => (result.ok ? "ok" : result.cause);

  it("delivers with a client certificate", async () => {
    assert.deepEqual(await send({ ca: tls.authority.cert, ...tls.client }), { ok: true });
    assert.deepEqual(tls.collector.clients, ["client"]);
    assert.equal(tls.collector.headers[0]?.["content-type"], "application/x-protobuf");
  });

  it("counts as TLS failures a missing client certificate, and a collector that is not trusted", async () => {
    const before = tls.collector.bodies.length;
    assert.equal(causeOf(await send({ ca: tls.authority.cert })), "tls_failed");
    assert.equal(causeOf(await send({ ca: tls.stranger.cert, ...tls.client })), "tls_failed");
    assert.equal(tls.collector.bodies.length, before);
  });

  it("counts as TLS failures a client certificate of an unknown authority, and an expired one, where the server says so", async () => {
    const strict = await StrictServer.start(tls.server, tls.authority);
    try {
      for (const bad of [
        tls.certificates.issue(tls.stranger, "unknown"),
        tls.certificates.issue(tls.authority, "expired", -1),
      ])
        assert.equal(causeOf(await send({ ca: tls.authority.cert, ...bad }, strict.url)), "tls_failed", bad.cert);
    } finally {
      strict.stop();
    }
  });

  it("takes new files without a restart, on one connection while they stay", async () => {
    const live: Pair = { cert: tls.certificates.path("live.pem"), key: tls.certificates.path("live.key") };
    const copy = (from: Pair): void => {
      copyFileSync(from.key, live.key);
      copyFileSync(from.cert, live.cert);
    };
    copy(tls.client);
    const sender = senderWith({ ca: tls.authority.cert, ...live });
    const before = tls.collector.connections;
    for (const name of ["client", "client", "rotated"]) {
      if (name === "rotated") copy(tls.certificates.issue(tls.authority, name));
      assert.deepEqual(await sendBy(sender), { ok: true });
      assert.equal(tls.collector.clients.at(-1), name);
    }
    assert.equal(tls.collector.connections - before, 2);
    truncateSync(live.cert, 100);
    assert.equal((await sendBy(sender)).ok, false);
    copy(tls.client);
    assert.deepEqual(await sendBy(sender), { ok: true });
    sender.close();
  });
});
