/** Promise 9: mutual TLS with a collector, on real sockets. */
import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { copyFileSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { createSecureContext } from "node:tls";
import { HttpSender } from "../../src/tracing/export/http-sender.js";
import type { SendResult } from "../../src/tracing/export/sender.js";
import { readTlsFiles, TlsFileReader, type TlsFiles } from "../../src/tracing/export/tls-files.js";
import type { Pair } from "../support/certificates.js";
import { mutualTls } from "../support/mutual-tls.js";
import { StrictServer } from "../support/strict-server.js";

const TIMEOUT_MS = 10_000;
const reasonOf = (result: SendResult): string => (result.ok ? "ok" : `${result.cause}: ${result.reason}`);

describe("what the export thread promises: 9. mutual TLS with a collector", function () {
  this.timeout(30_000);
  const tls = mutualTls();
  const senders: HttpSender[] = [];
  let logs: string[] = [];

  afterEach(() => {
    for (const sender of senders.splice(0)) sender.close();
    logs = [];
  });

  function senderTo(url: string, files: TlsFiles, headers: Record<string, string> = {}): HttpSender {
    const tls = new TlsFileReader(files, (_level, message) => void logs.push(message));
    const sender = new HttpSender(`${url}/api/v2/spans`, { tls, headers });
    senders.push(sender);
    return sender;
  }

  /** Its certificate expired while it was in use: files that are expired when they are read are not taken. */
  function expiredSender(url: string): HttpSender {
    const { cert, key } = tls.certificates.issue(tls.authority, "expired", -1);
    const [ca, own, secret] = [tls.authority.cert, cert, key].map((file) => readFileSync(file));
    const context = createSecureContext({ ca, cert: own, key: secret });
    const identity = { context, expires: Date.parse(new X509Certificate(own ?? "").validTo) };
    const sender = new HttpSender(`${url}/api/v2/spans`, { tls: { current: () => identity } });
    senders.push(sender);
    return sender;
  }

  it("delivers with a client certificate, on one connection, with the extra headers", async () => {
    const sender = senderTo(
      tls.collector.url,
      { ca: tls.authority.cert, ...tls.client },
      { authorization: "Bearer t" },
    );
    const before = tls.collector.connections;
    for (const json of ['{"a":1}', '{"a":2}']) assert.deepEqual(await sender.send([json], TIMEOUT_MS), { ok: true });
    assert.deepEqual(tls.collector.bodies.slice(-2).map(String), ['[{"a":1}]', '[{"a":2}]']);
    assert.deepEqual(tls.collector.clients.slice(-2), ["client", "client"]);
    assert.equal(tls.collector.headers.at(-1)?.authorization, "Bearer t");
    assert.equal(tls.collector.headers.at(-1)?.b3, "0");
    assert.equal(tls.collector.connections - before, 1);
  });

  it("tells that a certificate is missing, and that the collector's is not trusted", async () => {
    const before = tls.collector.bodies.length;
    const missing = await senderTo(tls.collector.url, { ca: tls.authority.cert }).send(["{}"], TIMEOUT_MS);
    assert.match(reasonOf(missing), /^tls_failed: the collector refused TLS: .*certificate required$/);
    const untrusted = await senderTo(tls.collector.url, { ca: tls.stranger.cert, ...tls.client }).send(
      ["{}"],
      TIMEOUT_MS,
    );
    assert.match(reasonOf(untrusted), /^tls_failed: the collector's certificate is not trusted: [A-Z_]+$/);
    assert.equal(tls.collector.bodies.length, before);
  });

  it("tells why a server that says so refuses the certificate: unknown authority, expired", async () => {
    const strict = await StrictServer.start(tls.server, tls.authority);
    try {
      const files = { ca: tls.authority.cert, ...tls.certificates.issue(tls.stranger, "unknown") };
      const unknown = await senderTo(strict.url, files).send(["{}"], TIMEOUT_MS);
      assert.match(reasonOf(unknown), /^tls_failed: the collector refused TLS: unknown ca$/);
      const expired = await expiredSender(strict.url).send(["{}"], TIMEOUT_MS);
      assert.match(reasonOf(expired), /^tls_failed: the collector refused TLS: certificate expired; the client cert/);
    } finally {
      strict.stop();
    }
  });

  it("tells of an expired certificate where the server only hangs up", async () => {
    const before = tls.collector.bodies.length;
    const expired = await expiredSender(tls.collector.url).send(["{}"], TIMEOUT_MS);
    assert.match(reasonOf(expired), /^tls_failed: .*; the client certificate expired on 20\d\d-/);
    assert.equal(tls.collector.bodies.length, before);
  });

  it("takes new files without a restart, and the old ones while the new are half written", async () => {
    const live: Pair = { cert: tls.certificates.path("live.pem"), key: tls.certificates.path("live.key") };
    const copy = (from: Pair): void => {
      copyFileSync(from.key, live.key);
      copyFileSync(from.cert, live.cert);
    };
    copy(tls.client);
    const sender = senderTo(tls.collector.url, { ca: tls.authority.cert, ...live });
    const send = async () => {
      assert.deepEqual(await sender.send(["{}"], TIMEOUT_MS), { ok: true });
      return tls.collector.clients.at(-1);
    };
    assert.equal(await send(), "client");
    const next = tls.certificates.issue(tls.authority, "rotated");
    copyFileSync(next.key, live.key);
    assert.equal(await send(), "client", "the key is not that of the certificate");
    truncateSync(live.cert, 100);
    assert.equal(await send(), "client", "half a certificate");
    copy(next);
    assert.equal(await send(), "rotated");
    assert.deepEqual(logs, [
      `--zipkin-key: ${live.key} is not the key of the certificate in ${live.cert}. The old files serve on.`,
      "The TLS files of the collector changed and are used now.",
    ]);
  });

  it("says at start what is wrong with the files", () => {
    const junk = tls.certificates.path("junk.pem");
    writeFileSync(junk, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    const { cert, key } = tls.client;
    const cases: [TlsFiles, RegExp][] = [
      [{ cert }, /^--zipkin-cert: needs --zipkin-key with it\.$/],
      [{ key }, /^--zipkin-key: needs --zipkin-cert with it\.$/],
      [{ ca: "/nowhere/ca.pem" }, /^--zipkin-ca: \/nowhere\/ca\.pem cannot be read, there is no such file\.$/],
      [{ ca: tls.certificates.directory }, /^--zipkin-ca: .* cannot be read, it is a folder\.$/],
      [{ ca: key }, /^--zipkin-ca: .*client\.key holds no certificate in PEM form/],
      [{ cert: junk, key }, /^--zipkin-cert: .*junk\.pem holds no certificate in PEM form/],
      [{ cert, key: cert }, /^--zipkin-key: .*client\.pem holds no private key in PEM form\.$/],
      [
        { cert, key: tls.server.key },
        /^--zipkin-key: .*server\.key is not the key of the certificate in .*client\.pem\.$/,
      ],
      [
        tls.certificates.issue(tls.authority, "late", -1),
        /^--zipkin-cert: .*late\.pem expired on 20\d\d-.*; renew it\.$/,
      ],
    ];
    for (const [files, message] of cases) assert.throws(() => readTlsFiles(files), { code: "config_invalid", message });
    const early = Date.now() - 3 * 86_400_000;
    assert.throws(() => readTlsFiles(tls.client, early), { message: /client\.pem is not valid before 20/ });
  });
});
