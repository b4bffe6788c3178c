/** The real OpenTelemetry Collector, for tests: its receivers and an exporter that prints, built once with Go from pinned modules. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { cpSync, existsSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { freePort } from "./free-port.js";
import type { RequiredPart } from "./requirements.js";
import { PACKAGE_ROOT } from "./vitrine-process.js";

const SOURCE = join(PACKAGE_ROOT, "test", "support", "otel-collector");
const BINARY = join(tmpdir(), "vitrine-otel-collector-0.162.0");
/** On two cores, with nothing downloaded or compiled before. */
const BUILD_TIMEOUT_MS = 900_000;
const START_TIMEOUT_MS = 20_000;

/** Built only where `BUILD_OTEL_COLLECTOR` asks for it: it takes minutes. */
export async function otelCollector(): Promise<RequiredPart> {
  const part = { name: "an OpenTelemetry Collector", mandatoryInCi: false };
  if (existsSync(BINARY)) return { ...part, available: true, why: "" };
  if (process.env.BUILD_OTEL_COLLECTOR === undefined)
    return { ...part, available: false, why: "`npm run test:collector` builds it, once, with Go" };
  try {
    await build();
    return { ...part, available: true, why: "" };
  } catch (error) {
    throw new Error("The OpenTelemetry Collector could not be built with Go.", { cause: error });
  }
}

async function build(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "vitrine-otel-build-"));
  try {
    cpSync(SOURCE, folder, { recursive: true });
    const args = ["build", "-mod=mod", "-ldflags=-s -w", "-o", "collector", "."];
    await promisify(execFile)("go", args, { cwd: folder, timeout: BUILD_TIMEOUT_MS });
    renameSync(join(folder, "collector"), BINARY);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export type Protocol = "otlp" | "zipkin";

export interface CollectedSpan {
  readonly traceId: string;
  readonly id: string;
  readonly name: string;
}

export class OtelCollector {
  #log = "";

  private constructor(
    private readonly child: ChildProcess,
    private readonly folder: string,
    private readonly ports: Readonly<Record<Protocol, number>>,
  ) {
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#log += text;
    });
  }

  static async start(): Promise<OtelCollector> {
    const folder = mkdtempSync(join(tmpdir(), "vitrine-otel-"));
    const ports = { otlp: await freePort(), zipkin: await freePort() };
    const file = join(folder, "config.json");
    writeFileSync(file, JSON.stringify(configuration(ports)));
    const child = spawn(BINARY, ["--config", `file:${file}`], { stdio: ["ignore", "ignore", "pipe"] });
    const collector = new OtelCollector(child, folder, ports);
    await collector.until(() => collector.#log.includes("Everything is ready"));
    return collector;
  }

  url(protocol: Protocol): string {
    return `http://127.0.0.1:${this.ports[protocol]}`;
  }

  /** Lines of its log that are worse than information. */
  get complaints(): readonly string[] {
    return this.#log.split("\n").filter((line) => /^\S+Z\t(?!info\t|debug\t)/.test(line));
  }

  /** What came by one protocol. Each batch's text ends with the name of its exporter. */
  spans(protocol: Protocol): readonly CollectedSpan[] {
    const batches = this.#log.split(/(?<="otelcol.component.id": "debug\/\w+".*)\n/);
    const own = batches.filter((batch) => batch.includes(`"otelcol.component.id": "debug/${protocol}"`));
    const pattern = /Trace ID +: (\w+)\n +Parent ID +: \w*\n +ID +: (\w+)\n +Name +: (.*)\n/g;
    return own.flatMap((batch) =>
      Array.from(batch.matchAll(pattern), ([, traceId = "", id = "", name = ""]) => ({ traceId, id, name })),
    );
  }

  async until(condition: () => boolean): Promise<void> {
    for (const deadline = Date.now() + START_TIMEOUT_MS; !condition(); ) {
      if (Date.now() > deadline || this.child.exitCode !== null) throw new Error(`the collector:\n${this.#log}`);
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
  }

  stop(): void {
    this.child.kill("SIGKILL");
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** A pipeline for each protocol, so that what is printed says how it came. JSON is YAML. */
function configuration(ports: Readonly<Record<Protocol, number>>): object {
  const debug = { verbosity: "detailed", sampling_initial: 100_000 };
  return {
    receivers: {
      otlp: { protocols: { http: { endpoint: `127.0.0.1:${ports.otlp}` } } },
      zipkin: { endpoint: `127.0.0.1:${ports.zipkin}` },
    },
    exporters: { "debug/otlp": debug, "debug/zipkin": debug },
    service: {
      telemetry: { metrics: { level: "none" } },
      pipelines: {
        "traces/otlp": { receivers: ["otlp"], exporters: ["debug/otlp"] },
        "traces/zipkin": { receivers: ["zipkin"], exporters: ["debug/zipkin"] },
      },
    },
  };
}
