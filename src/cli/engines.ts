import { availableParallelism } from "node:os";
import type { Logger } from "pino";
import type { Config } from "../config.js";
import { createEngineClient, type EngineClient } from "../engine/client/client.js";
import { createFleet } from "../engine/client/fleet.js";
import type { DeviceRequest, LoadOptions } from "../protocol.js";
import { machineMemory } from "./machine-memory.js";

const ENGINE_ENTRY = new URL("./engine-process.js", import.meta.url);

/** The devices to run on, one engine each. */
export function devicesOf(config: Config): readonly DeviceRequest[] {
  return config.devices ?? [config.device];
}

/** Starts an engine process for each device. */
export function startEngines(modelDir: string, config: Config, logger: Logger): EngineClient {
  const devices = devicesOf(config);
  const engines = devices.map((device, index) => {
    const log = devices.length === 1 ? logger : logger.child({ engine: index, requested: device });
    const engine = createEngineClient({
      entry: ENGINE_ENTRY,
      load: loadOptions(modelDir, config, device),
      onLog: (line) => log.warn({ source: "engine" }, line),
    });
    logEngine(engine, log);
    return engine;
  });
  const [only, ...others] = engines;
  return only !== undefined && others.length === 0 ? only : createFleet(engines, config.maxSequences);
}

/** What all engines run with; those that run on the CPU share its memory and cores. */
export function loadOptions(modelDir: string, config: Config, device: DeviceRequest): LoadOptions {
  const sharing = Math.max(1, devicesOf(config).filter((other) => other === "cpu").length);
  const memory = Math.floor(machineMemory() / 4 / (device === "cpu" ? sharing : 1));
  const crowded = device === "cpu" && sharing > 1 && config.threads === 0;
  return {
    modelDir,
    dtype: config.dtype,
    device,
    threads: crowded ? Math.max(1, Math.floor(availableParallelism() / sharing)) : config.threads,
    runtime: config.runtime,
    fastInt4: config.fastInt4 === "on",
    maxSequences: config.maxSequences,
    ...(config.kvMemory === "auto"
      ? { kvMemory: memory, gpuMemoryUtilization: config.gpuMemoryUtilization }
      : { kvMemory: config.kvMemory }),
    prefillChunk: config.prefillChunk,
    ...(config.targetTpot === undefined ? {} : { targetTpotMs: config.targetTpot }),
  };
}

/** An engine's life in the log: starts, losses, restarts. */
function logEngine(engine: EngineClient, logger: Logger): void {
  engine.onState((state) => {
    if (state.kind === "ready") {
      const { model, device } = state;
      logger.info({ model: model.name, dtype: model.dtype, device, rewrites: model.rewrites }, "engine ready");
      for (const warning of model.warnings ?? []) logger.warn({ model: model.name }, warning);
    } else if (state.kind === "restarting") {
      logger.error({ restarts: state.restarts, error: state.error.message }, "engine lost; it is started again");
    } else if (state.kind === "failed" && state.error.code !== "draining") {
      logger.error({ error: state.error.message }, "engine failed to start");
    } else if (state.kind === "stopped") {
      logger.info("engine stopped");
    }
  });
}
