import type { Handler } from "./patch.js";
import { patch } from "./patch.js";
import {
  type LibraryInstrumentationConfig,
  type PatchedModule,
  PatchingInstrumentation,
} from "./patching-instrumentation.js";
import type { Recorder } from "./recorder.js";
import { TransformersCalls } from "./transformers-calls.js";
import { findTargets, type Role } from "./transformers-classes.js";
import { writableExports } from "./writable-exports.js";

/**
 * Spans of transformers.js: `@xenova/transformers` 2.17 and `@huggingface/transformers` 3 and 4. Nothing of a prompt or an
 * answer is recorded: lengths, settings and times.
 */
export class TransformersInstrumentation extends PatchingInstrumentation {
  constructor(config: LibraryInstrumentationConfig = {}) {
    super("vitrine/transformers", config);
  }

  protected override packages() {
    return [
      { name: "@xenova/transformers", versions: ">=2.17.0 <3", files: ["src/transformers.js"] },
      {
        name: "@huggingface/transformers",
        versions: ">=3.0.0 <5",
        files: ["mjs", "cjs", "min.mjs", "min.cjs"].map((ending) => `dist/transformers.node.${ending}`),
      },
    ];
  }

  protected override patchModule(exports: object): PatchedModule {
    return patchTransformers(exports, this.recorder);
  }
}

export function patchTransformers(exports: object, recorder: Recorder): PatchedModule {
  const writable = writableExports(exports, "pipeline");
  const handlers: Readonly<Record<Role, Handler>> = new TransformersCalls(recorder);
  return {
    exports: writable,
    undo: findTargets(writable).map((target) => patch(target.owner, target.name, handlers[target.role])),
  };
}
