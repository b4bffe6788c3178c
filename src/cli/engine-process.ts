/** The engine's child process: the compute loop over the model runtime. `EngineClient` forks it. */
import { serveEngine } from "../engine/process.js";
import { loadModel } from "../runtime/load-model.js";

serveEngine(loadModel);
