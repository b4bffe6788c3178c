/**
 * `npm run w3c -- CHECKOUT`: W3C's trace-context test harness, from a checkout of its repository, against a service built
 * on the propagator, at both levels of the specification and of strictness. Fails where the harness does.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { EchoService } from "../support/echo-service.js";

const LEVELS = ["1", "2"];

/** Whether every test passed; what failed is printed. */
async function runHarness(folder: string, url: string, spec: string, strict: string): Promise<boolean> {
  const env = { ...process.env, SPEC_LEVEL: spec, STRICT_LEVEL: strict };
  const child = spawn("python3", ["test.py", url], { cwd: folder, env, stdio: "pipe" });
  let printed = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => {
      printed += text;
    });
  }
  const [code] = await once(child, "close");
  if (code !== 0) process.stderr.write(printed);
  const ran = /^Ran (\d+) tests?/m.exec(printed)?.[1] ?? "0";
  const verdict = /^(?:OK|FAILED).*$/m.exec(printed)?.[0] ?? `no summary, exit status ${code}`;
  process.stdout.write(`specification level ${spec}, strictness ${strict}: ${ran} tests, ${verdict}\n`);
  return code === 0 && ran !== "0";
}

const checkout = process.argv[2] ?? "";
const folder = join(checkout, "test");
if (checkout === "" || !existsSync(join(folder, "test.py"))) {
  process.stderr.write("Usage: npm run w3c -- CHECKOUT\nCHECKOUT is a checkout of W3C's trace-context repository.\n");
  process.exit(2);
}
const service = await EchoService.start();
for (const spec of LEVELS) {
  for (const strict of LEVELS) if (!(await runHarness(folder, service.url, spec, strict))) process.exitCode = 1;
}
service.stop();
