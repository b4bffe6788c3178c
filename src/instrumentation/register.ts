/**
 * `node --import vitrine/register app.js`: traces a program without a change to it, as `ENABLE_ZIPKIN_TRACING`,
 * `ZIPKIN_ENDPOINT` and OpenTelemetry's `OTEL_*` say. Whatever goes wrong here, the program runs.
 */
import { logToStderr } from "./program/stderr-log.js";

/** Once a thread, also where several copies of the package are asked to. */
const REGISTERED = Symbol.for("vitrine.registered");
const marks = globalThis as { [mark: symbol]: unknown };

async function register(): Promise<void> {
  const { readSettings } = await import("./program/settings.js");
  const settings = readSettings(process.env, process.argv[1]);
  if (settings.kind === "off") {
    if (settings.why !== undefined) logToStderr("warn", settings.why);
    return;
  }
  const { traceProgram } = await import("./program/program-tracing.js");
  traceProgram(settings);
}

if (marks[REGISTERED] !== true) {
  marks[REGISTERED] = true;
  try {
    await register();
  } catch (error) {
    logToStderr("error", `the program runs untraced: ${error instanceof Error ? error.message : String(error)}`);
  }
}
