import type { Logger } from "pino";
import type { Config } from "../config.js";
import { createEngineClient, type EngineClient } from "../engine/client.js";
import { openModelDirectory, resolveModelDirectory } from "../runtime/model-directory.js";
import { machineMemory } from "./machine-memory.js";
import type { Service } from "./service.js";

const ENGINE_ENTRY = new URL("./engine-process.js", import.meta.url);

/** Starts the engine process, then loads and starts everything else: both take a while, and each has its own process. */
export async function launch(config: Config, logger: Logger): Promise<Service> {
  // Also reads config.json: what is wrong with it is told before anything is started.
  const directory = openModelDirectory(resolveModelDirectory(config.model));
  const engine = startEngine(directory.path, config, logger);
  try {
    const { startService } = await import("./service.js");
    return await startService(config, logger, { directory, engine });
  } catch (error) {
    await engine.shutdown(0);
    throw error;
  }
}

function startEngine(modelDir: string, config: Config, logger: Logger): EngineClient {
  return createEngineClient({
    entry: ENGINE_ENTRY,
    load: {
      modelDir,
      dtype: config.dtype,
      device: config.device,
      threads: config.threads,
      runtime: config.runtime,
      fastInt4: config.fastInt4 === "on",
      maxSequences: config.maxSequences,
      kvMemory: config.kvMemory === "auto" ? Math.floor(machineMemory() / 4) : config.kvMemory,
      prefillChunk: config.prefillChunk,
      ...(config.targetTpot === undefined ? {} : { targetTpotMs: config.targetTpot }),
    },
    onLog: (line) => logger.warn({ source: "engine" }, line),
  });
}
