import { type Config, unknownVariables } from "../config.js";
import { addressOf } from "../destinations.js";
import { deviceLines } from "./device-lines.js";
import { launch } from "./launch.js";
import { createLogger } from "./logger.js";
import type { Service } from "./service.js";
import { exitStatus, onStopSignal } from "./stop-signals.js";

/** What runs where, and why it was chosen. */
function modelLines({ engine, modelId }: Service): string {
  const { state } = engine;
  if (state.kind !== "ready") return `Model     ${modelId} (${state.kind})`;
  const devices = engine.engines.flatMap(({ state }) => (state.kind === "ready" ? deviceLines(state.device) : []));
  return [`Model     ${modelId} (${state.model.dtype})`, ...devices].join("\n");
}

function banner(config: Config, service: Service): string {
  const traces = [
    ...(config.zipkinEndpoint === undefined ? [] : [`Zipkin at ${addressOf(config.zipkinEndpoint)}`]),
    ...(config.otlpEndpoint === undefined ? [] : [`OTLP at ${addressOf(config.otlpEndpoint)}`]),
    ...(config.traceStore === "on" ? [`kept in memory, read at ${service.address}/zipkin/api/v2/traces`] : []),
  ];
  return `
${modelLines(service)}
Traces    ${traces.length > 0 ? traces.join("; ") : "off (--zipkin-endpoint http://localhost:9411 sends them)"}
Try it    curl ${service.address}/v1/completions -H 'content-type: application/json' \\
            -d '{"model": "${service.modelId}", "prompt": "Once upon a time", "max_tokens": 120, "temperature": 0.8}'

Listening on ${service.address}`;
}

/** What is left to do after a second signal has this long. */
const HURRY_MS = 1_000;

/** A first signal drains; a second one cancels what still runs, and ends the process within a second; a third at once. */
function stop(service: Service, config: Config, count: number, signal: NodeJS.Signals): void {
  const end = (): never => process.exit(exitStatus(signal));
  if (count > 2) end();
  if (count === 2) {
    console.log(`\n${signal}: cancelling ${service.engine.inFlight} running requests`);
    service.cancelRunning();
    setTimeout(end, HURRY_MS);
    return;
  }
  console.log(`\n${signal}: finishing ${service.engine.inFlight} running requests (again to end at once)`);
  service.stop(config.shutdownTimeout).then(
    () => process.exit(0),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
}

/** `vitrine serve`: runs until a signal; rejects when the service cannot start. */
export async function serve(config: Config): Promise<void> {
  const logger = createLogger(config.logLevel, config.logFormat);
  for (const name of unknownVariables(process.env)) {
    logger.warn(`${name} is set, but no option reads it; vitrine serve --help lists them`);
  }
  console.log(`Loading ${config.model} …`);
  let service: Service | undefined;
  onStopSignal((count, signal) => {
    if (service === undefined) process.exit(exitStatus(signal));
    stop(service, config, count, signal);
  });
  service = await launch(config, logger);
  try {
    await service.ready;
  } catch (error) {
    await service.stop(0);
    throw error;
  }
  console.log(banner(config, service));
}
