/** Mutual TLS with an OTLP collector: the stock exporter reads the files that OpenTelemetry's own variables name. */
import assert from "node:assert/strict";
import { copyFileSync, truncateSync } from "node:fs";
import { OtlpSender } from "../../src/tracing/export/otlp-sender.js";
import type { SendResult } from "../../src/tracing/export/sender.js";
import type { SpanRecord } from "../../src/tracing/export/span-record.js";
import { Certificates, OPENSSL, type Pair } from "../support/certificates.js";
import { requirePart } from "../support/requirements.js";
import { StrictServer } from "../support/strict-server.js";
import { TlsCollector } from "../support/tls-collector.js";

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
  let certificates: Certificates;
  let authority: Pair;
  let stranger: Pair;
  let client: Pair;
  let server: Pair;
  let collector: TlsCollector;

  before(async function () {
    requirePart(this, OPENSSL);
    certificates = new Certificates();
    authority = certificates.authority("authority");
    stranger = certificates.authority("stranger");
    client = certificates.issue(authority, "client");
    server = certificates.issue(authority, "server");
    collector = await TlsCollector.start(server, authority);
  });

  afterEach(() => {
    for (const variable of Object.values(VARIABLES)) delete process.env[variable];
  });

  after(async () => {
    await collector?.stop();
    certificates?.remove();
  });

  function senderWith(files: Files, url = collector.url): OtlpSender {
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
    assert.deepEqual(await send({ ca: authority.cert, ...client }), { ok: true });
    assert.deepEqual(collector.clients, ["client"]);
    assert.equal(collector.headers[0]?.["content-type"], "application/x-protobuf");
  });

  it("counts as TLS failures a missing client certificate, and a collector that is not trusted", async () => {
    const before = collector.bodies.length;
    assert.equal(causeOf(await send({ ca: authority.cert })), "tls_failed");
    assert.equal(causeOf(await send({ ca: stranger.cert, ...client })), "tls_failed");
    assert.equal(collector.bodies.length, before);
  });

  it("counts as TLS failures a client certificate of an unknown authority, and an expired one, where the server says so", async () => {
    const strict = await StrictServer.start(server, authority);
    try {
      for (const bad of [certificates.issue(stranger, "unknown"), certificates.issue(authority, "expired", -1)])
        assert.equal(causeOf(await send({ ca: authority.cert, ...bad }, strict.url)), "tls_failed", bad.cert);
    } finally {
      strict.stop();
    }
  });

  it("takes new files without a restart, on one connection while they stay", async () => {
    const live: Pair = { cert: certificates.path("live.pem"), key: certificates.path("live.key") };
    const copy = (from: Pair): void => {
      copyFileSync(from.key, live.key);
      copyFileSync(from.cert, live.cert);
    };
    copy(client);
    const sender = senderWith({ ca: authority.cert, ...live });
    const before = collector.connections;
    for (const name of ["client", "client", "rotated"]) {
      if (name === "rotated") copy(certificates.issue(authority, name));
      assert.deepEqual(await sendBy(sender), { ok: true });
      assert.equal(collector.clients.at(-1), name);
    }
    assert.equal(collector.connections - before, 2);
    truncateSync(live.cert, 100);
    assert.equal((await sendBy(sender)).ok, false);
    copy(client);
    assert.deepEqual(await sendBy(sender), { ok: true });
    sender.close();
  });
});
