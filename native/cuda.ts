/** NVIDIA's CUDA driver in typed classes that cannot be misused into a crash, for memory that ONNX Runtime shares. */
export { CudaAllocation } from "./cuda-allocation.js";
export type { DeviceRoom } from "./cuda-context.js";
export { cudaDeviceUuid } from "./cuda-driver.js";
export { CudaStream, type DeviceBlocks, type DeviceMemory } from "./cuda-stream.js";
