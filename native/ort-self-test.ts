import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { NativeError } from "./native-error.js";
import { ORT_API } from "./ort-api.js";
import { findOrtLibrary } from "./ort-library.js";

/** What the child found. */
export interface SelfTestReport {
  readonly version: string;
  readonly buildInfo: string;
  readonly providers: readonly string[];
}

export interface SelfTestOptions {
  /** The program to run instead of `ort-self-test-child.js`. */
  readonly childPath?: string;
  /** Where passed tests are remembered. */
  readonly cacheFolder?: string;
}

/** A healthy child takes about 0.15 s; one that hangs must not hang the start for ever. */
const TIMEOUT_MS = 30_000;

/**
 * Proves, in a process of its own, that the table of `ort-api.ts` fits the installed library: version, build, and a
 * two-node model run and compared. A mismatch is then an error here and not a crash. A pass is remembered for the
 * library file as it is (path, size, time of change), so that only the first start waits. Await it before
 * `OrtEnvironment.open`. Throws NativeError `library`.
 */
export async function selfTestOrt(options: SelfTestOptions = {}): Promise<SelfTestReport> {
  const library = findOrtLibrary();
  const childPath = options.childPath ?? fileURLToPath(new URL("ort-self-test-child.js", import.meta.url));
  const folder = options.cacheFolder ?? join(tmpdir(), `vitrine-${process.getuid?.() ?? "user"}`);
  const file = join(folder, `ort-self-test-${fingerprint(library, childPath)}.json`);
  const known = recall(file);
  if (known !== undefined) return known;
  const report = await runChild(library, childPath);
  remember(folder, file, report);
  return report;
}

function fingerprint(library: string, childPath: string): string {
  const { size, mtimeMs } = statSync(library);
  const facts = [library, size, mtimeMs, childPath, statSync(childPath).mtimeMs, process.version, ORT_API];
  return createHash("sha256").update(JSON.stringify(facts)).digest("hex").slice(0, 16);
}

function recall(file: string): SelfTestReport | undefined {
  try {
    // A folder of everybody's: what somebody else put there does not count.
    if (process.getuid !== undefined && statSync(file).uid !== process.getuid()) return undefined;
    return JSON.parse(readFileSync(file, "utf8")) as SelfTestReport;
  } catch {
    return undefined;
  }
}

function remember(folder: string, file: string, report: SelfTestReport): void {
  try {
    // Not recursive: where mkdir says ENOENT of a folder that is there (/proc), Node 20 would try for ever.
    if (!existsSync(folder)) mkdirSync(folder, { mode: 0o700 });
    const draft = `${file}.${process.pid}`;
    writeFileSync(draft, JSON.stringify(report), { mode: 0o600 });
    renameSync(draft, file);
  } catch {
    // A read-only system tests at every start.
  }
}

async function runChild(library: string, childPath: string): Promise<SelfTestReport> {
  const child = spawn(process.execPath, [childPath], {
    env: { ...process.env, ORT_DISABLE_TELEMETRY: "1" },
    stdio: ["ignore", "pipe", "pipe"],
    timeout: TIMEOUT_MS,
    killSignal: "SIGKILL",
  });
  const { code, signal, stdout, stderr } = await ended(child);
  if (code === 0) return JSON.parse(stdout) as SelfTestReport;
  const how = signal === null ? `ended with exit code ${code}` : `was ended by ${signal}`;
  const said = excerpt(stderr);
  throw new NativeError(
    "library",
    `The self-test of ${library} failed: its process ${how}${said && `, saying: ${said}`}. ` +
      "Install the onnxruntime-node version of package-lock.json (npm ci).",
  );
}

interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

function ended(child: ChildProcess): Promise<Ended> {
  const output = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name]?.setEncoding("utf8").on("data", (text: string) => {
      output[name] += text;
    });
  }
  return new Promise((resolve, reject) => {
    child.once("error", (cause) => {
      reject(new NativeError("library", `The self-test's process did not start: ${cause.message}`, { cause }));
    });
    child.once("close", (code, signal) => resolve({ code, signal, ...output }));
  });
}

/** What a dying process said, cut to a length that fits a message. */
function excerpt(text: string): string {
  return text.trim().replace(/\s+/g, " ").slice(0, 800);
}
