import type { CudaStream } from "./cuda-stream.js";
import { koffi } from "./koffi.js";
import { NativeError } from "./native-error.js";
import { NativeObject, POINTER } from "./native-object.js";
import { CPU_DEVICE, type ElementType, type OrtApi, type Out, type Pointer } from "./ort-api.js";
import { NATIVE, type OrtEnvironment } from "./ort-environment.js";
import { check, onAnotherThread, stored } from "./ort-library.js";
import { createSessionOptions, type OrtSessionOptions } from "./ort-session-options.js";
import { readDeclaredInfo } from "./ort-tensor-info.js";

export type { OrtSessionOptions } from "./ort-session-options.js";

/** An input or output as the graph declares it. */
export interface OrtValueInfo {
  readonly name: string;
  /** Undefined for what is no tensor, or has elements that JavaScript cannot hold. */
  readonly type: ElementType | undefined;
  /** A dimension that is not fixed is its name, empty where the graph gives none. */
  readonly shape: readonly (number | string)[];
}

/** A graph ready to run. Runs go through an `OrtBinding`. */
export class OrtSession extends NativeObject<"Session"> {
  readonly [NATIVE]: OrtApi;
  readonly inputs: readonly OrtValueInfo[];
  readonly outputs: readonly OrtValueInfo[];
  readonly #onDevice: ReadonlySet<string>;

  private constructor(
    readonly environment: OrtEnvironment,
    pointer: Pointer<"Session">,
    /** In which runs compute; undefined on the CPU. */
    readonly stream: CudaStream | undefined,
  ) {
    const { api } = environment[NATIVE];
    super("session", pointer, (session) => api.ReleaseSession(session), stream === undefined ? [] : [stream]);
    this[NATIVE] = api;
    try {
      this.inputs = this.#describe(api.SessionGetInputCount, api.SessionGetInputName, api.SessionGetInputTypeInfo);
      this.outputs = this.#describe(api.SessionGetOutputCount, api.SessionGetOutputName, api.SessionGetOutputTypeInfo);
      this.#onDevice = this.#findOnDevice();
    } catch (error) {
      this.dispose();
      throw error;
    }
  }

  /**
   * Loads a graph, on another thread, from a file or from its bytes. Throws NativeError `no_such_file`,
   * `invalid_graph`, `not_implemented` (an operator or type that it lacks), `out_of_memory` or `failed`.
   */
  static async create(
    environment: OrtEnvironment,
    graph: string | Uint8Array,
    options: OrtSessionOptions = {},
  ): Promise<OrtSession> {
    if (graph.length === 0) throw new NativeError("misuse", "A session needs a graph: a path, or at least one byte.");
    const { api, pointer: env } = environment[NATIVE];
    const settings = createSessionOptions(environment, options);
    const session: Out<Pointer<"Session">> = [null];
    try {
      const status =
        typeof graph === "string"
          ? await onAnotherThread(api.CreateSession, env, graph, settings, session)
          : await onAnotherThread(api.CreateSessionFromArray, env, graph, graph.byteLength, settings, session);
      check(api, status, typeof graph === "string" ? `load ${graph}` : "load the graph");
    } finally {
      api.ReleaseSessionOptions(settings);
    }
    return new OrtSession(environment, stored(session), options.stream);
  }

  /** True for an input that runs read in a device's memory: bound from elsewhere, it is copied there as it is bound. */
  readsOnDevice(input: string): boolean {
    return this.#onDevice.has(input);
  }

  #findOnDevice(): Set<string> {
    const api = this[NATIVE];
    const places = new BigUint64Array(this.inputs.length);
    check(api, api.SessionGetMemoryInfoForInputs(this[POINTER](), places, places.length), "tell where inputs are read");
    const onDevice = this.inputs.filter((_, index) => {
      const device: Out<number> = [null];
      api.MemoryInfoGetDeviceType(places[index] as Pointer<"MemoryInfo">, device);
      return stored(device) !== CPU_DEVICE;
    });
    return new Set(onDevice.map(({ name }) => name));
  }

  #describe(
    count: OrtApi["SessionGetInputCount"],
    name: OrtApi["SessionGetInputName"],
    typeInfo: OrtApi["SessionGetInputTypeInfo"],
  ): OrtValueInfo[] {
    const api = this[NATIVE];
    const total: Out<number> = [null];
    check(api, count(this[POINTER](), total), "count a session's inputs and outputs");
    return Array.from({ length: stored(total) }, (_, index) => {
      const info: Out<Pointer<"TypeInfo">> = [null];
      check(api, typeInfo(this[POINTER](), index, info), "describe an input or output");
      try {
        return { name: this.#readName(name, index), ...readDeclaredInfo(api, stored(info)) };
      } finally {
        api.ReleaseTypeInfo(stored(info));
      }
    });
  }

  #readName(name: OrtApi["SessionGetInputName"], index: number): string {
    const api = this[NATIVE];
    const { allocator } = this.environment[NATIVE];
    const text: Out<Pointer<"Text">> = [null];
    check(api, name(this[POINTER](), index, allocator, text), "name an input or output");
    const value = koffi.decode.string(stored(text));
    check(api, api.AllocatorFree(allocator, stored(text)), "free a name");
    return value;
  }
}
