/** ONNX Runtime's C API in typed classes that cannot be misused into a crash: all that the rest of the program sees. */

export { CudaAllocation, CudaStream } from "./cuda.js";
export { isOutOfMemory, NativeError, type NativeErrorCode, withoutHostname } from "./native-error.js";
export type { ElementType } from "./ort-api.js";
export { OrtBinding } from "./ort-binding.js";
export { OrtEnvironment } from "./ort-environment.js";
export { findOrtLibrary } from "./ort-library.js";
export { OrtMemory } from "./ort-memory.js";
export { type TopType, topModel, topType } from "./ort-models.js";
export { OrtRunOptions } from "./ort-run-options.js";
export { type SelfTestReport, selfTestOrt } from "./ort-self-test.js";
export { OrtSession, type OrtSessionOptions, type OrtValueInfo } from "./ort-session.js";
export { OrtTensor, type TensorData } from "./ort-value.js";
