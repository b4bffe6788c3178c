import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";

describe("a process that tests leave", () => {
  const module = new URL("../support/held-open.js", import.meta.url).href;
  const ending = (left: string) =>
    spawnSync(
      process.execPath,
      ["--input-type=module", "-e", `import { endIfHeldOpen } from "${module}"; endIfHeldOpen(50); ${left}`],
      { encoding: "utf8", timeout: 20_000 },
    );

  it("ends by itself where nothing holds it open, and else with what does", () => {
    const { status, stderr } = ending("");
    assert.deepEqual([status, stderr], [0, ""]);
    const held = ending("(await import('node:net')).createServer().listen(0)");
    assert.deepEqual([held.status, /holds the process open: .*TCPSERVERWRAP/i.test(held.stderr)], [0, true]);
  });
});
