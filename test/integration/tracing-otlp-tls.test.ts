/** Mutual TLS with an OTLP collector: the stock exporter reads the files that OpenTelemetry's own variables name. */
import assert from "node:assert/strict";
import { OtlpSender } from "../../src/tracing/export/otlp-sender.js";
import type { SendResult } from "../../src/tracing/export/sender.js";
import type { SpanRecord } from "../../src/tracing/export/span-record.js";
import { Certificates, OPENSSL, type Pair } from "../support/certificates.js";
import { requirePart } from "../support/requirements.js";
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
  let collector: TlsCollector;

  before(async function () {
    requirePart(this, OPENSSL);
    certificates = new Certificates();
    authority = certificates.authority("authority");
    stranger = certificates.authority("stranger");
    client = certificates.issue(authority, "client");
    collector = await TlsCollector.start(certificates.issue(authority, "server"), authority);
  });

  afterEach(() => {
    for (const variable of Object.values(VARIABLES)) delete process.env[variable];
  });

  after(async () => {
    await collector?.stop();
    certificates?.remove();
  });

  async function send(files: Files): Promise<SendResult> {
    for (const [file, path] of Object.entries(files)) process.env[VARIABLES[file as keyof Files]] = path;
    const sender = new OtlpSender(`${collector.url}/v1/traces`, {}, { serviceName: "vitrine" });
    const result = await sender.send([JSON.stringify(SPAN)], 10_000);
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
});
