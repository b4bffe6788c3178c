/** The engine's child process: the compute loop over the model runtime. `EngineClient` forks it. */
import { serveEngine } from "../engine/process.js";
import { GrammarCompiler } from "../runtime/grammar/grammar-compiler.js";
import { loadModel } from "../runtime/load-model.js";

serveEngine(async (options, ...rest) => {
  const loaded = await loadModel(options, ...rest);
  return { ...loaded, constraints: new GrammarCompiler(options.modelDir, loaded.runner.model.vocabSize) };
});
