/** What the environment of a program asks its tracing to be. */
import { readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { loadSome } from "../../config.js";
import { DESTINATION_OPTIONS, destinationsOf } from "../../destinations.js";
import type { OptionName } from "../../options.js";
import { readSwitch } from "../../options.js";
import { entriesOf, resourceAttributes } from "../../otel-variables.js";
import type { TracingOptions } from "../../tracing/tracing.js";

/** The options that a program's tracing has; `vitrine run` has their flags. The spool is of one process alone, and a program may be many. */
export const PROGRAM_OPTIONS = [
  ...DESTINATION_OPTIONS.filter((name) => name !== "traceSpool" && name !== "traceSpoolSize"),
  "propagation",
  "sampleRate",
  "sampleLimit",
  "traceDetail",
  "pricePerDeviceHour",
  "serviceName",
] as const satisfies readonly OptionName[];

export interface ProgramSettings
  extends Required<Pick<TracingOptions, "serviceName" | "destinations" | "propagation" | "sampleRate">>,
    Pick<TracingOptions, "sampleLimit" | "pricePerDeviceHour"> {
  readonly kind: "on";
  readonly traceDetail: "phase" | "step";
  readonly resource: Readonly<Record<string, string>>;
  /** Whether an instrumentation is wanted: `http`, `undici`, `pino`, … */
  readonly wants: (instrumentation: string) => boolean;
}

/** Not traced; with a reason where that may be a mistake. */
export interface Off {
  readonly kind: "off";
  readonly why?: string;
}

const NO_COLLECTOR =
  "no collector is configured, so nothing is traced: set ENABLE_ZIPKIN_TRACING=true for http://localhost:9411, or ZIPKIN_ENDPOINT";

/** Programs that start the one that is meant, where NODE_OPTIONS holds for all. */
const LAUNCHERS = new Set([
  "npm-cli.js",
  "npx-cli.js",
  "npm",
  "npx",
  "yarn",
  "yarn.js",
  "pnpm",
  "pnpm.cjs",
  "corepack",
]);

/** @param script the program's main file, `process.argv[1]`. Throws VitrineError `config_invalid` naming the setting */
export function readSettings(env: NodeJS.ProcessEnv, script: string | undefined): ProgramSettings | Off {
  const exporters = env.OTEL_TRACES_EXPORTER;
  const disabled = readSwitch(env.OTEL_SDK_DISABLED ?? "") === true || exporters === "none";
  if (disabled || LAUNCHERS.has(basename(script ?? ""))) return { kind: "off" };
  const config = loadSome([...PROGRAM_OPTIONS, ...DESTINATION_OPTIONS], {}, withExporters(env, exporters));
  const destinations = destinationsOf(config);
  if (destinations.length === 0) {
    const meant = readSwitch(env.ENABLE_ZIPKIN_TRACING ?? "") === false;
    return meant ? { kind: "off" } : { kind: "off", why: NO_COLLECTOR };
  }
  const { propagation, sampleRate, sampleLimit, traceDetail, pricePerDeviceHour } = config;
  const { "service.name": named, ...resource } = resourceAttributes(env.OTEL_RESOURCE_ATTRIBUTES);
  const given = env.VITRINE_SERVICE_NAME || env.OTEL_SERVICE_NAME || named;
  return {
    kind: "on",
    serviceName: given === undefined ? programName(script) : config.serviceName,
    destinations,
    propagation,
    sampleRate,
    traceDetail,
    resource,
    wants: wantedOf(env),
    ...(sampleLimit === undefined ? {} : { sampleLimit }),
    ...(pricePerDeviceHour === undefined ? {} : { pricePerDeviceHour }),
  };
}

/** `OTEL_TRACES_EXPORTER` names exporters whose addresses have defaults. */
function withExporters(env: NodeJS.ProcessEnv, exporters = ""): NodeJS.ProcessEnv {
  const names = entriesOf(exporters);
  return {
    ...env,
    ...(names.includes("zipkin") ? { ENABLE_ZIPKIN_TRACING: env.ENABLE_ZIPKIN_TRACING || "true" } : {}),
    ...(names.includes("otlp")
      ? { OTEL_EXPORTER_OTLP_ENDPOINT: env.OTEL_EXPORTER_OTLP_ENDPOINT || "http://localhost:4318" }
      : {}),
    VITRINE_TRACE_SPOOL: undefined,
  };
}

/** OpenTelemetry's own two variables: a list of those that are wanted, or of those that are not. */
function wantedOf(env: NodeJS.ProcessEnv): (name: string) => boolean {
  const enabled = entriesOf(env.OTEL_NODE_ENABLED_INSTRUMENTATIONS ?? "");
  const disabled = entriesOf(env.OTEL_NODE_DISABLED_INSTRUMENTATIONS ?? "");
  return (name) => (enabled.length === 0 || enabled.includes(name)) && !disabled.includes(name);
}

/** The nearest package's name, as its author gave it; without one, the file's. */
function programName(script: string | undefined): string {
  if (script === undefined) return "node";
  for (let folder = dirname(script); ; folder = dirname(folder)) {
    const name = packageName(join(folder, "package.json"));
    if (name !== undefined) return name;
    if (folder === dirname(folder)) return basename(script).replace(/\.[cm]?[jt]s$/, "");
  }
}

function packageName(file: string): string | undefined {
  try {
    const { name } = JSON.parse(readFileSync(file, "utf8")) as { readonly name?: unknown };
    return typeof name === "string" && name !== "" ? name : undefined;
  } catch {
    return undefined;
  }
}
