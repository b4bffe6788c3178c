import { constants } from "node:os";
import { type Config, unknownVariables } from "../config.js";
import { launch } from "./launch.js";
import { createLogger } from "./logger.js";
import type { Service } from "./service.js";

/** What runs where, and why it was chosen. */
function modelLines({ engine, modelId }: Service): string {
  const { state } = engine;
  if (state.kind !== "ready") return `Model     ${modelId} (${state.kind})`;
  const { model, device } = state;
  return [
    `Model     ${modelId} (${model.dtype})`,
    `Device    ${device.provider}: ${device.reason}`,
    ...(device.runtime === undefined ? [] : [`Runtime   ${device.runtime.kind}: ${device.runtime.reason}`]),
  ].join("\n");
}

function banner(config: Config, service: Service): string {
  const traces = [
    ...(config.zipkinEndpoint === undefined ? [] : [`Zipkin at ${config.zipkinEndpoint}`]),
    ...(config.traceStore === "on" ? [`kept in memory, read at ${service.address}/zipkin/api/v2/traces`] : []),
  ];
  return `
${modelLines(service)}
Traces    ${traces.length > 0 ? traces.join("; ") : "off (--zipkin-endpoint http://localhost:9411 sends them)"}
Try it    curl ${service.address}/v1/completions -H 'content-type: application/json' \\
            -d '{"model": "${service.modelId}", "prompt": "Once upon a time", "max_tokens": 120, "temperature": 0.8}'

Listening on ${service.address}`;
}

/** SIGTERM and SIGINT drain; a second one cancels what still runs, a third ends the process as it stands. */
function stopOnSignal(service: Service, config: Config): void {
  let signals = 0;
  const onSignal = (signal: NodeJS.Signals): void => {
    signals += 1;
    const running = `${service.engine.inFlight} running requests`;
    if (signals === 1) console.log(`\n${signal}: finishing ${running} (again to cancel them)`);
    if (signals === 2) console.log(`\n${signal}: cancelling ${running} (again to end at once)`);
    if (signals === 2) service.cancelRunning();
    if (signals > 2) process.exit(128 + constants.signals[signal]);
    if (signals > 1) return;
    service.stop(config.shutdownTimeout).then(
      () => process.exit(0),
      (error: unknown) => {
        console.error(error);
        process.exit(1);
      },
    );
  };
  process.on("SIGTERM", onSignal).on("SIGINT", onSignal);
}

/** `vitrine serve`: runs until a signal; rejects when the service cannot start. */
export async function serve(config: Config): Promise<void> {
  const logger = createLogger(config.logLevel);
  for (const name of unknownVariables(process.env)) {
    logger.warn(`${name} is set, but no option reads it; vitrine serve --help lists them`);
  }
  console.log(`Loading ${config.model} …`);
  const service = await launch(config, logger);
  stopOnSignal(service, config);
  try {
    await service.ready;
  } catch (error) {
    await service.stop(0);
    throw error;
  }
  console.log(banner(config, service));
}
