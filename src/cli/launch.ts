import type { Logger } from "pino";
import type { Config } from "../config.js";
import { openModelDirectory, resolveModelDirectory } from "../runtime/files/model-directory.js";
import { startEngines } from "./engines.js";
import { checkPorts } from "./ports.js";
import type { Service } from "./service.js";

/** Starts the engine processes, then loads and starts everything else: both take a while, and each has its own process. */
export async function launch(config: Config, logger: Logger): Promise<Service> {
  // Also reads config.json: what is wrong with it is told before anything is started.
  const directory = openModelDirectory(resolveModelDirectory(config.model));
  await checkPorts(config);
  const engine = startEngines(directory.path, config, logger);
  try {
    const { startService } = await import("./service.js");
    return await startService(config, logger, { directory, engine });
  } catch (error) {
    await engine.shutdown(0);
    throw error;
  }
}
