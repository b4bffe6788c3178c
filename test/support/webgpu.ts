/**
 * ONNX Runtime's WebGPU provider, which is in onnxruntime-node's library: it captures and replays runs by the rules that
 * CUDA has, and takes a software Vulkan for a GPU. For tests alone: what it needs of the C API is not in `native/`.
 */
import { koffi } from "../../native/koffi.js";
import { POINTER } from "../../native/native-object.js";
import { findOrtLibrary, OrtEnvironment, OrtMemory, type OrtSession, OrtTensor } from "../../native/ort.js";
import { NATIVE } from "../../native/ort-environment.js";
import { check } from "../../native/ort-library.js";
import { ALLOCATOR } from "../../native/ort-memory.js";
import type { DeviceParts } from "../../src/runtime/native/native-runner.js";

/** Positions in `struct OrtApi` (onnxruntime_c_api.h). */
const FUNCTIONS = {
  CreateAllocator: { index: 131, args: ["void *", "void *", "_Out_ void **"] },
  SessionOptionsAppendExecutionProvider: { index: 216, args: ["void *", "str", "str *", "str *", "size_t"] },
  CopyTensors: { index: 386, args: ["void *", "void *", "void *", "void *", "size_t"] },
} as const;
const API_VERSION = 23;
const CAPTURE = "ep.webgpuexecutionprovider.enableGraphCapture";

type Call = (...args: unknown[]) => never;

function functions(): Record<keyof typeof FUNCTIONS, Call> {
  const base = koffi.load(findOrtLibrary()).func("OrtGetApiBase", "void *", [])();
  const getApi = koffi.decode(koffi.decode(base, "void *"), koffi.proto("void *", ["uint32_t"]));
  const table: unknown = getApi(API_VERSION);
  const found = Object.entries(FUNCTIONS).map(([name, { index, args }]) => {
    const address = koffi.decode(table, index * koffi.sizeof("void *"), "void *");
    return [name, koffi.decode(address, koffi.proto("void *", [...args]))];
  });
  return Object.fromEntries(found);
}

/** From now on sessions are created on the GPU, and capture their runs. Gives what a native runner has of that device. */
export function useWebGpu(): DeviceParts {
  const environment = OrtEnvironment.open();
  const { api, pointer } = environment[NATIVE];
  const extra = functions();
  const onGpu = (settings: unknown): void => {
    // The provider reads it as it is added.
    check(api, api.AddSessionConfigEntry(settings as never, CAPTURE, "1"), "capture runs");
    check(api, extra.SessionOptionsAppendExecutionProvider(settings, "WebGPU", [], [], 0), "use WebGPU");
  };
  const withGpu = (name: "CreateSession" | "CreateSessionFromArray", settings: number) => ({
    async: (...args: unknown[]) => {
      onGpu(args[settings]);
      (api[name].async as Call)(...args);
    },
  });
  const changed = {
    CreateSession: withGpu("CreateSession", 2),
    CreateSessionFromArray: withGpu("CreateSessionFromArray", 3),
  };
  Object.assign(environment[NATIVE], { api: { ...api, ...changed } });

  const memoryOf = (session: OrtSession): OrtMemory => {
    const info: [never | null] = [null];
    check(api, api.CreateMemoryInfo("WebGPU_Buf", 0, 0, 0, info), "describe WebGPU's memory");
    const allocator: [never | null] = [null];
    check(api, extra.CreateAllocator(session[POINTER](), info[0], allocator), "allocate with WebGPU");
    const memory = Reflect.construct(OrtMemory, [environment, info[0]]) as OrtMemory;
    return Object.defineProperty(memory, ALLOCATOR, { value: allocator[0] });
  };
  const copy = (source: OrtTensor, target: OrtTensor): void => {
    const [from, to] = [source, target].map((tensor) => BigUint64Array.of(tensor[POINTER]()));
    check(api, extra.CopyTensors(pointer, from, to, null, 1), "copy a tensor");
  };
  return {
    openCache: (session) => {
      const memory = memoryOf(session);
      return { memory, copy: assertEmpty, dispose: () => memory.dispose() };
    },
    openLogits: async (session, { logits }) => {
      const [memory, host] = [memoryOf(session), OrtMemory.cpu(environment)];
      /** All of it: nothing can begin within a tensor. */
      const read = (tensor: OrtTensor, from: number, size: number): Float32Array => {
        const here = OrtTensor.allocate(host, logits.type, tensor.shape);
        copy(tensor, here);
        const values = Float32Array.from((here.data as Float32Array).subarray(from, from + size));
        here.dispose();
        return values;
      };
      const dispose = (): void => {
        for (const used of [memory, host]) used.dispose();
      };
      return { memory, read, dispose };
    },
    openInputs: (session) => ({
      memory: memoryOf(session),
      reads: (input) => session.readsOnDevice(input),
      send: (copies) => {
        for (const { source, target, from, size } of copies) {
          const [here, there] = [source.view(from, [size]), target.view(from, [size])];
          copy(here, there);
          for (const used of [here, there]) used.dispose();
        }
      },
    }),
  };
}

/** Its tensors are handles and not addresses, so nothing can begin within one, and no row can be moved that holds something. */
function assertEmpty(_source: unknown, _target: unknown, size: number): void {
  if (size > 0) throw new Error("WebGPU's memory has no rows to move.");
}
