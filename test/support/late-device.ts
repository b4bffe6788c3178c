import { CudaStream, OrtBinding, OrtMemory, OrtSession } from "../../native/ort.js";
import type { CudaStub } from "./cuda-stub.js";

/**
 * Has the native runner take the stub's devices for CUDA's. Kernels are the CPU's, in the stub's memory; each run begins
 * when what was queued before it is done, as in a stream, and nothing else waits: what is read, written or freed too early
 * shows. What it gives takes that back.
 */
export function installLateDevice(stub: CudaStub): () => void {
  const { open } = CudaStream;
  const { cuda, cpu } = OrtMemory;
  const { create } = OrtSession;
  const { run } = OrtBinding.prototype;
  const streams = new Set<CudaStream>();
  CudaStream.open = (device) => {
    const stream = open.call(CudaStream, device, stub.path);
    streams.add(stream);
    return stream;
  };
  OrtMemory.cuda = (environment, stream) => Object.defineProperty(cpu(environment), "stream", { value: stream });
  OrtSession.create = async (environment, graph, { stream, cudaOptions: _, ...options } = {}) => {
    const session = await create.call(OrtSession, environment, graph, options);
    return Object.defineProperty(session, "stream", { value: stream });
  };
  OrtBinding.prototype.run = function (options) {
    for (const stream of streams) stream.synchronize();
    run.call(this, options);
  };
  return () => {
    CudaStream.open = open;
    OrtMemory.cuda = cuda;
    OrtSession.create = create;
    OrtBinding.prototype.run = run;
  };
}
