/** The whole service over the free engine; prints its address once it is ready. */
import { pino } from "pino";
import { startService } from "../../src/cli/service.js";
import { loadConfig } from "../../src/config.js";
import { createEngineClient } from "../../src/engine/client/client.js";
import { openModelDirectory, resolveModelDirectory } from "../../src/runtime/files/model-directory.js";

const config = loadConfig({ port: "0", ...JSON.parse(process.argv[2] ?? "{}") }, {});
const directory = openModelDirectory(resolveModelDirectory("tiny"));
const { dtype, device, threads, maxSequences } = config;
const load = { modelDir: directory.path, dtype, device, threads, maxSequences };
const engine = createEngineClient({ entry: new URL("./free-engine.js", import.meta.url), load });
const service = await startService(config, pino({ level: "silent" }), { directory, engine });
await service.ready;
console.log(service.address);
process.stdin.resume().on("end", async () => {
  await service.stop(0);
  process.exit();
});
