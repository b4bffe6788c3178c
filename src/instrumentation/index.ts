/** OpenTelemetry instrumentations of the libraries that run models in Node, for any SDK set-up. Loads neither those libraries nor the server. */
export type { TraceDetail } from "./forward-span.js";
export { OnnxRuntimeInstrumentation } from "./onnxruntime-instrumentation.js";
export type { LibraryInstrumentationConfig } from "./patching-instrumentation.js";
export { TransformersInstrumentation } from "./transformers-instrumentation.js";
