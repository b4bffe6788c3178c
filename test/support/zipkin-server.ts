/**
 * The real Zipkin server, for tests: taken from Maven's local repository or fetched into it, run with in-memory
 * storage on a free port. One server is shared by all test files of a run.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream, existsSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pipeline } from "node:stream/promises";
import { promisify, stripVTControlCharacters } from "node:util";

const run = promisify(execFile);

const VERSION = "3.6.1";
const SHA256 = "d8326e0ed4f43855dba81228f688554706e52578a7c782d9a90b73f8680654a1";
const COORDINATES = `io.zipkin:zipkin-server:${VERSION}:jar:exec`;
const JAR_PATH = join("io", "zipkin", "zipkin-server", VERSION, `zipkin-server-${VERSION}-exec.jar`);
const MINIMUM_JAVA = 17;
const START_TIMEOUT_MS = 90_000;

export interface ZipkinServer {
  /** `http://127.0.0.1:PORT`, without a path. */
  readonly url: string;
  /** Ends the server and waits until it has gone. */
  stop(): Promise<void>;
}

export type ZipkinStart =
  | { readonly kind: "running"; readonly server: ZipkinServer }
  /** One sentence. */
  | { readonly kind: "unavailable"; readonly why: string };

let shared: Promise<ZipkinStart> | undefined;

/** The run's one server, started by the first caller; `mochaHooks` stop it. */
export function sharedZipkin(): Promise<ZipkinStart> {
  shared ??= startZipkin().then(
    (server) => ({ kind: "running", server }),
    (error: unknown) => ({ kind: "unavailable", why: error instanceof Error ? error.message : String(error) }),
  );
  return shared;
}

export async function stopSharedZipkin(): Promise<void> {
  const start = await shared;
  shared = undefined;
  if (start?.kind === "running") await start.server.stop();
}

/** Throws an error of one sentence where the server cannot be had or does not start. */
async function startZipkin(): Promise<ZipkinServer> {
  await requireJava();
  const jar = await findJar();
  await verify(jar);
  // Small heap and quiet logs; port 0 lets the system choose, and the start-up line tells which one it chose.
  const child = spawn("java", ["-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-jar", jar], {
    env: {
      ...process.env,
      QUERY_PORT: "0",
      STORAGE_TYPE: "mem",
      SELF_TRACING_ENABLED: "false",
      MEM_MAX_SPANS: "200000",
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const killAtExit = () => child.kill("SIGKILL");
  process.once("exit", killAtExit);
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const stop = async () => {
    process.removeListener("exit", killAtExit);
    // It holds nothing worth a slow goodbye.
    killAtExit();
    await exited;
  };
  try {
    const url = `http://127.0.0.1:${await listeningPort(child)}`;
    await untilHealthy(url);
    return { url, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function requireJava(): Promise<void> {
  let version: string;
  try {
    // `java -version` writes to the error stream.
    version = (await run("java", ["-version"])).stderr;
  } catch {
    throw new Error("there is no java command on the PATH");
  }
  const major = Number(/version "(\d+)/.exec(version)?.[1] ?? 0);
  if (major < MINIMUM_JAVA) throw new Error(`Java ${MINIMUM_JAVA} or newer is needed, and java is version ${major}`);
}

async function findJar(): Promise<string> {
  const usual = join(homedir(), ".m2", "repository", JAR_PATH);
  if (existsSync(usual)) return usual;
  try {
    await run("mvn", ["--version"]);
  } catch {
    throw new Error(`${COORDINATES} is not in ${join(homedir(), ".m2")}, and there is no mvn command to fetch it with`);
  }
  const jar = join(await localRepository(), JAR_PATH);
  if (existsSync(jar)) return jar;
  console.log(`  fetching ${COORDINATES} (130 MB) with mvn dependency:get`);
  try {
    await run("mvn", [
      "-q",
      "-B",
      "-Dstyle.color=never",
      "dependency:get",
      `-Dartifact=${COORDINATES}`,
      "-Dtransitive=false",
    ]);
  } catch (error) {
    throw new Error(`mvn dependency:get could not fetch ${COORDINATES}: ${firstLine(error)}`);
  }
  if (!existsSync(jar)) throw new Error(`mvn dependency:get left no ${jar}`);
  return jar;
}

/** Where Maven keeps what it fetched, as its settings say. */
async function localRepository(): Promise<string> {
  const ask = [
    "-q",
    "-B",
    "-Dstyle.color=never",
    "help:evaluate",
    "-Dexpression=settings.localRepository",
    "-DforceStdout",
  ];
  try {
    // Some builds of Maven colour even this.
    const answer = stripVTControlCharacters((await run("mvn", ask)).stdout).trim();
    if (answer !== "" && existsSync(answer)) return answer;
  } catch {
    // The help plugin itself may be out of reach; then the usual place is the best guess.
  }
  return join(homedir(), ".m2", "repository");
}

async function verify(jar: string): Promise<void> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(jar), hash);
  const found = hash.digest("hex");
  if (found !== SHA256) throw new Error(`${jar} has SHA-256 ${found}, not ${SHA256}: delete it and run again`);
}

function listeningPort(child: ChildProcess): Promise<number> {
  return new Promise((resolve, reject) => {
    const output: string[] = [];
    const timer = setTimeout(() => reject(new Error(`Zipkin did not listen: ${output.join(" | ")}`)), START_TIMEOUT_MS);
    child.once("exit", (code) => {
      clearTimeout(timer);
      reject(new Error(`Zipkin ended with status ${code} at start: ${output.slice(-5).join(" | ")}`));
    });
    const read = (line: string) => {
      output.push(line);
      const port = /Serving HTTP at \/\S+?:(\d+) /.exec(`${line} `)?.[1];
      if (port === undefined) return;
      clearTimeout(timer);
      resolve(Number(port));
    };
    for (const stream of [child.stdout, child.stderr]) {
      if (stream !== null) createInterface({ input: stream }).on("line", read);
    }
  });
}

async function untilHealthy(url: string): Promise<void> {
  for (const deadline = Date.now() + START_TIMEOUT_MS; Date.now() < deadline; ) {
    const answer = await fetch(`${url}/health`).catch(() => undefined);
    if (answer?.ok && ((await answer.json()) as { status?: string }).status === "UP") return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`${url}/health did not become UP in ${START_TIMEOUT_MS / 1000} s`);
}

function firstLine(error: unknown): string {
  const text =
    (error as { stdout?: string }).stdout?.trim() || (error instanceof Error ? error.message : String(error));
  return text.split("\n")[0] ?? text;
}
