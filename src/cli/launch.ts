import type { Logger } from "pino";
import type { Config } from "../config.js";
import { createEngineClient, type EngineClient } from "../engine/client.js";
import { resolveModelDirectory } from "../runtime/model-directory.js";
import type { Service } from "./service.js";

const ENGINE_ENTRY = new URL("./engine-process.js", import.meta.url);

/** Starts the engine process, then loads and starts everything else: both take a while, and each has its own process. */
export async function launch(config: Config, logger: Logger): Promise<Service> {
  const modelDir = resolveModelDirectory(config.model);
  const engine = startEngine(modelDir, config, logger);
  try {
    const { startService } = await import("./service.js");
    return await startService(config, logger, { modelDir, engine });
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
    },
    onLog: (line) => logger.warn({ source: "engine" }, line),
  });
}
