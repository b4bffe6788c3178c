/** The end of a process whose output somebody reads slowly. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";

const EXIT = new URL("../../src/cli/exit.js", import.meta.url).href;

describe("an explicit end", () => {
  const BYTES = 3_000_000;

  function writing(end: string) {
    const program = `
      import { exitFlushed } from ${JSON.stringify(EXIT)};
      process.stdout.on("error", () => {});
      setInterval(() => {}, 1000);
      process.stdout.write("x".repeat(${BYTES}));
      ${end};
    `;
    return spawn(process.execPath, ["--input-type=module", "-e", program], { stdio: ["ignore", "pipe", "inherit"] });
  }

  it("comes after the last byte has left, whatever else goes on", async () => {
    const child = writing("await exitFlushed(3)");
    let read = 0;
    for await (const chunk of child.stdout) {
      read += (chunk as Buffer).length;
      await new Promise((resolve) => setImmediate(resolve));
    }
    const [code] = child.exitCode === null ? await once(child, "exit") : [child.exitCode];
    assert.deepEqual([read, code], [BYTES, 3]);
  });

  it("comes, too, where the reader has gone", async () => {
    const child = writing("await exitFlushed(4)");
    await once(child.stdout, "readable");
    child.stdout.destroy();
    assert.deepEqual(await once(child, "exit"), [4, null]);
  });
});
