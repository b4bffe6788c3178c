/** A real vitrine and a real Zipkin with mutual TLS between them, by proxy: certificates, rotation, headers, protobuf. */
import assert from "node:assert/strict";
import { copyFileSync } from "node:fs";
import { Certificates, OPENSSL, type Pair } from "../support/certificates.js";
import { requirePart } from "../support/requirements.js";
import { TlsCollector } from "../support/tls-collector.js";
import { runVitrine, VitrineProcess } from "../support/vitrine-process.js";
import { Caller, ZipkinClient } from "../support/zipkin-client.js";
import { sharedZipkin } from "../support/zipkin-server.js";

describe("a real Zipkin behind mutual TLS", function () {
  this.timeout(120_000);
  let certificates: Certificates;
  let authority: Pair;
  let live: Pair;
  let zipkin: ZipkinClient;
  let proxy: TlsCollector;
  let vitrine: VitrineProcess;

  const use = (name: string): void => {
    const next = certificates.issue(authority, name);
    copyFileSync(next.key, live.key);
    copyFileSync(next.cert, live.cert);
  };
  const flags = () => ["--zipkin-ca", authority.cert, "--zipkin-cert", live.cert, "--zipkin-key", live.key];

  before(async function () {
    // The first time it is a download of 130 MB.
    this.timeout(600_000);
    requirePart(this, OPENSSL);
    const start = await sharedZipkin();
    const why = start.kind === "running" ? "" : start.why;
    requirePart(this, { name: "a real Zipkin server", available: why === "", why, mandatoryInCi: true });
    if (start.kind !== "running") throw new Error(why);
    zipkin = new ZipkinClient(start.server.url);
    certificates = new Certificates();
    authority = certificates.authority("authority");
    live = { cert: certificates.path("live.pem"), key: certificates.path("live.key") };
    use("first");
    proxy = await TlsCollector.start(certificates.issue(authority, "server"), authority, start.server.url);
    vitrine = await VitrineProcess.start({
      flags: ["--zipkin-endpoint", proxy.url, "--zipkin-encoder", "proto", ...flags()],
      env: { VITRINE_ZIPKIN_HEADERS: "authorization=Bearer%20Zanzibarquux" },
    });
  });

  after(async () => {
    await vitrine?.stop();
    await proxy?.stop();
    certificates?.remove();
  });

  async function traced() {
    const caller = new Caller();
    const body = JSON.stringify({ model: "tiny", prompt: "Once", max_tokens: 4 });
    const headers = { "content-type": "application/json", ...caller.b3Multi };
    const response = await fetch(`${vitrine.url}/v1/completions`, { method: "POST", headers, body });
    assert.equal(response.status, 200);
    await response.text();
    return zipkin.awaitTrace(caller.traceId);
  }

  it("gets whole traces in protobuf, over one connection, with the headers asked for", async () => {
    const { server, spans } = await traced();
    assert.equal(server.tags?.["http.status_code"], "200");
    assert.equal(server.localEndpoint?.serviceName, "vitrine");
    assert.ok(spans.some(({ name }) => name === "inference.forward"));
    assert.ok(spans.every(({ duration = 0 }) => Number.isInteger(duration) && duration >= 1));
    const sent = proxy.headers.at(-1);
    assert.deepEqual([sent?.["content-type"], sent?.b3], ["application/x-protobuf", "0"]);
    assert.equal(sent?.authorization, "Bearer Zanzibarquux");
    assert.deepEqual([...new Set(proxy.clients), proxy.connections], ["first", 1]);
  });

  it("sees the next certificate without a restart", async () => {
    use("second");
    await traced();
    assert.equal(proxy.clients.at(-1), "second");
  });

  it("never reads the headers in the log", () => {
    assert.ok(!vitrine.output.join("\n").includes("Zanzibarquux"));
  });

  it("is not served without its files: the start says which is wrong", async () => {
    const missing = ["--zipkin-endpoint", proxy.url, "--zipkin-ca", certificates.path("nowhere.pem")];
    const { code, stderr, stdout } = await runVitrine(["serve", "--port", "0", ...missing]);
    assert.notEqual(code, 0);
    assert.match(stderr + stdout, /--zipkin-ca: .*nowhere\.pem cannot be read, there is no such file/);
  });
});
