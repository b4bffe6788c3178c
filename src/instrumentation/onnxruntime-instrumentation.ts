import { patch } from "./patch.js";
import {
  type LibraryInstrumentationConfig,
  type PatchedModule,
  PatchingInstrumentation,
} from "./patching-instrumentation.js";
import type { Recorder } from "./recorder.js";
import { SessionCalls } from "./session-calls.js";
import { fields } from "./shapes.js";

/**
 * Spans of `onnxruntime-node`. Together with the instrumentation of transformers.js it adds what that cannot see, the creation
 * of each session; runs inside a forward pass are part of its span.
 */
export class OnnxRuntimeInstrumentation extends PatchingInstrumentation {
  constructor(config: LibraryInstrumentationConfig = {}) {
    super("vitrine/onnxruntime-node", config);
  }

  protected override packages() {
    return [{ name: "onnxruntime-node", versions: ">=1.14.0 <2", files: ["dist/index.js"] }];
  }

  protected override patchModule(exports: object): PatchedModule {
    return patchOnnxRuntime(exports, this.recorder);
  }
}

export function patchOnnxRuntime(exports: object, recorder: Recorder): PatchedModule {
  const calls = new SessionCalls(recorder);
  // An ES module's view of older versions has the class in its default export only.
  const session = fields(exports).InferenceSession ?? fields(fields(exports).default).InferenceSession;
  const { prototype } = fields(session);
  if (typeof session !== "function" || typeof prototype !== "object" || prototype === null)
    return { exports, undo: [] };
  const undo = [
    patch(session, "create", calls.create),
    patch(prototype, "run", calls.run),
    patch(prototype, "release", calls.release),
  ];
  return { exports, undo };
}
