/** `vitrine doctor` as a user types it. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runVitrine } from "../support/vitrine-process.js";

interface Diagnosis {
  readonly healthy: boolean;
  readonly problems: number;
  readonly examinations: readonly {
    readonly subject: string;
    readonly findings: readonly { readonly status: string; readonly what: string; readonly cure?: string }[];
  }[];
}

/** What it found amiss, by subject; the device is the CPU, so that a GPU's troubles are not these tests'. */
async function problemsWith(flags: readonly string[]) {
  const { code, stdout, stderr } = await runVitrine(["doctor", "--json", "--port", "0", "--device", "cpu", ...flags]);
  assert.equal(stderr, "");
  const { healthy, examinations } = JSON.parse(stdout) as Diagnosis;
  assert.equal(code, healthy ? 0 : 1);
  return examinations.flatMap(({ subject, findings }) =>
    findings.filter(({ status }) => status === "problem").map(({ what, cure }) => ({ subject, what, cure })),
  );
}

describe("vitrine doctor", function () {
  this.timeout(60_000);

  it("finds this machine ready to serve", async () => {
    const { code, stdout, stderr } = await runVitrine(["doctor", "--port", "0", "--device", "cpu"]);
    assert.equal(code, 0, stdout + stderr);
    for (const subject of ["Node", "ONNX Runtime", "GPU", "CUDA", "Memory", "Model", "Ports", "Traces"]) {
      assert.match(stdout, new RegExp(`^${subject} +[✓!] `, "m"));
    }
    assert.match(stdout, /Ready to serve/);
    assert.ok(!stdout.includes("\u001b"), "no colours for a pipe");
  });

  it("names what is wrong with a model directory, and how to mend it", async () => {
    const folder = await mkdtemp(join(tmpdir(), "vitrine-doctor-"));
    try {
      const [found, ...others] = await problemsWith(["--model", folder]);
      assert.deepEqual(others, []);
      assert.equal(found?.subject, "Model");
      assert.match(found.what, /has no config\.json/);
      assert.ok(found.cure);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it("says who has the port", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as { port: number };
    try {
      const [found] = await problemsWith(["--port", String(port)]);
      assert.equal(found?.subject, "Ports");
      assert.match(found.what, new RegExp(`127.0.0.1:${port} is taken`));
      if (process.platform === "linux") assert.match(found.what, new RegExp(`process ${process.pid}`));
    } finally {
      server.close();
    }
  });

  it("tells a collector that is down, and no key of it", async () => {
    const flags = ["--zipkin-endpoint", "http://user:sesame@127.0.0.1:1/", "--zipkin-headers", "x-key=sesame"];
    const [found] = await problemsWith(flags);
    assert.equal(found?.subject, "Traces");
    assert.match(found.what, /^Zipkin at http:\/\/127\.0\.0\.1:1\/api\/v2\/spans did not take a span: ECONNREFUSED/);
    const { stdout } = await runVitrine(["doctor", ...flags]);
    assert.ok(!stdout.includes("sesame"));
  });

  it("takes the flags of serve, and refuses what serve refuses", async () => {
    const { code, stderr } = await runVitrine(["doctor", "--port", "many"]);
    assert.equal(code, 2);
    assert.match(stderr, /--port: expected a port/);
  });
});
