import { patch } from "./patch.js";
import { type LibraryInstrumentationConfig, PatchingInstrumentation } from "./patching-instrumentation.js";
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

  protected override patchModule(exports: object) {
    const calls = new SessionCalls(this.recorder);
    const { InferenceSession } = fields(exports);
    const { prototype } = fields(InferenceSession);
    const undo =
      typeof InferenceSession === "function" && typeof prototype === "object" && prototype !== null
        ? [
            patch(InferenceSession, "create", calls.create),
            patch(prototype, "run", calls.run),
            patch(prototype, "release", calls.release),
          ]
        : [];
    return { exports, undo: () => undo.forEach((one) => void one()) };
  }
}
