import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { portHolder } from "../../../src/doctor/port-holder.js";
import { checkPort, type PortQuestion, tryListen } from "../../../src/doctor/ports.js";
import { cures, lines } from "./findings.js";

const PORT: PortQuestion = { option: "--port", host: "127.0.0.1", port: 8080 };
const answering = (code: string | undefined, holder?: string) => ({
  tryListen: async () => code,
  holder: () => holder,
});

describe("doctor: ports", () => {
  it("tells that a port is free", async () => {
    assert.deepEqual(lines([await checkPort(PORT, answering(undefined))]), ["ok 127.0.0.1:8080 is free"]);
    assert.deepEqual(lines([await checkPort({ ...PORT, host: "::1" }, answering(undefined))]), [
      "ok [::1]:8080 is free",
    ]);
    assert.match(lines([await checkPort({ ...PORT, port: 0 }, answering(undefined))])[0] ?? "", /takes a free port/);
  });

  it("tells who has it, where that can be known", async () => {
    const taken = [await checkPort(PORT, answering("EADDRINUSE", "nginx (process 12)"))];
    assert.deepEqual(lines(taken), ["problem 127.0.0.1:8080 is taken by nginx (process 12)"]);
    assert.deepEqual(cures(taken), ["End it, or give another --port."]);
    assert.deepEqual(lines([await checkPort(PORT, answering("EADDRINUSE"))]), ["problem 127.0.0.1:8080 is taken"]);
  });

  it("tells ports and addresses that this user or machine does not have", async () => {
    const said = async (code: string) => lines([await checkPort(PORT, answering(code))])[0];
    assert.equal(await said("EACCES"), "problem 127.0.0.1:8080 is not for this user");
    assert.equal(await said("EADDRNOTAVAIL"), "problem this machine has no address 127.0.0.1");
    assert.equal(await said("ENOTFOUND"), "problem this machine has no address 127.0.0.1");
    assert.equal(await said("EMFILE"), "problem 127.0.0.1:8080 cannot be listened on (EMFILE)");
  });

  it("finds itself on a port that it listens on", async () => {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as { port: number };
    try {
      assert.equal(await tryListen("127.0.0.1", port), "EADDRINUSE");
      if (process.platform === "linux") assert.ok(portHolder(port)?.endsWith(`(process ${process.pid})`));
    } finally {
      server.close();
    }
    await once(server, "close");
    assert.equal(await tryListen("127.0.0.1", port), undefined);
    assert.equal(portHolder(port), undefined);
    assert.equal(portHolder(port, "/nowhere"), undefined);
  });
});
