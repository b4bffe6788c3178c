/** `vitrine run`, and programs below it that are there to be run. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { program } from "../support/traced-program.js";
import { type CommandResult, PACKAGE_ROOT, runVitrine } from "../support/vitrine-process.js";
import { FakeCollector } from "./tracing-collector.js";

const MAIN = fileURLToPath(new URL("../../src/cli/main.js", import.meta.url));

describe("vitrine run", function () {
  this.timeout(60_000);
  let collector: FakeCollector;

  before(async () => {
    collector = await FakeCollector.start([202]);
  });

  after(async () => {
    await collector.stop();
  });

  const run = (...command: readonly string[]): Promise<CommandResult> =>
    runVitrine(["run", "--zipkin-endpoint", collector.endpoint, "--service-name", "shop", "--", ...command]);

  it("traces the program, with the flags it was given, also where npm or a shell starts it", async () => {
    const [plain, shell] = [
      await run("node", program("endings.cjs"), "process.exit"),
      await run("npm", "exec", "-c", `node ${program("endings.cjs")} "exit code"`),
    ];
    assert.deepEqual([plain.code, shell.code], [3, 4], `${plain.stderr}${shell.stderr}`);
    const spans = collector.received.flatMap((post) => post.spans);
    assert.deepEqual(
      spans.map(({ name, localEndpoint }) => [name, localEndpoint.serviceName]),
      [
        ["work", "shop"],
        ["work", "shop"],
      ],
    );
  });

  it("ends as the program ends, or as shells do where there is none", async () => {
    assert.equal((await run("sh", "-c", "kill -KILL $$")).signal, "SIGKILL");
    const missing = await run("no-such-command");
    assert.deepEqual(
      [missing.code, missing.stderr],
      [127, "vitrine: run no-such-command: there is no such command.\n"],
    );
    const below = await run(`${MAIN}/below-a-file`);
    assert.deepEqual([below.code, below.stderr.split(": ").at(-1)], [127, "there is no such command.\n"]);
    const folder = await run(PACKAGE_ROOT);
    assert.deepEqual([folder.code, /it is no program that this user may run/.test(folder.stderr)], [126, true]);
    assert.equal((await runVitrine(["run", "--sample-rate", "7", "--", "node"])).code, 2);
  });

  it("passes signals, input and output through", async () => {
    const { PATH = "" } = process.env;
    const child = spawn(process.execPath, [MAIN, "run", "--", "sh", "-c", "cat; echo ready; exec sleep 20"], {
      cwd: PACKAGE_ROOT,
      env: { PATH },
      stdio: ["pipe", "pipe", "inherit"],
    });
    let output = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      output += text;
      if (output.includes("ready")) child.kill("SIGTERM");
    });
    child.stdin.end("said\n");
    const signal = await new Promise((resolve) => child.once("close", (_code, by) => resolve(by)));
    assert.deepEqual([output, signal], ["said\nready\n", "SIGTERM"]);
  });
});
