/** The engine's child process: the compute loop over the model runtime. `EngineClient` forks it. */

import { serveEngine } from "../engine/process.js";
import type { ConstraintCompiler } from "../engine/sampling/constraint.js";
import type { LoadOptions } from "../protocol.js";
import { loadModel } from "../runtime/load/load-model.js";

/** The compiler is loaded with the first grammar: a start need not wait for it. */
function constraintsFor({ modelDir }: LoadOptions, vocabSize: number): ConstraintCompiler {
  const load = async (): Promise<ConstraintCompiler> => {
    const { GrammarCompiler } = await import("../runtime/grammar/grammar-compiler.js");
    return new GrammarCompiler(modelDir, vocabSize);
  };
  let compiler: Promise<ConstraintCompiler> | undefined;
  return {
    compile: async (grammar, stopTokenIds) => {
      compiler ??= load();
      return (await compiler).compile(grammar, stopTokenIds);
    },
  };
}

serveEngine(async (options, ...rest) => {
  const loaded = await loadModel(options, ...rest);
  return { ...loaded, constraints: constraintsFor(options, loaded.runner.model.vocabSize) };
});
