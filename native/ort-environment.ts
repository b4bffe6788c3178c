import { koffi } from "./koffi.js";
import { LOG_FATAL, type OrtApi, type Out, type Pointer } from "./ort-api.js";
import { check, loadOrtLibrary, type OrtLibrary, onAnotherThread, stored } from "./ort-library.js";

/** What the other classes of `native/` need of the environment. */
export const NATIVE: unique symbol = Symbol("native");

interface NativeEnvironment {
  readonly api: OrtApi;
  readonly pointer: Pointer<"Env">;
  /** ONNX Runtime's plain CPU allocator: aligned, no arena, freed memory goes back to the system. */
  readonly allocator: Pointer<"Allocator">;
}

/**
 * ONNX Runtime's environment: one in a process, shared with onnxruntime-node, and not released before the process ends,
 * as sessions of others may live in it.
 */
export class OrtEnvironment {
  static #current: OrtEnvironment | undefined;
  readonly [NATIVE]: NativeEnvironment;
  #endsInOrder = false;
  /** e.g. `1.30.0`. */
  readonly version: string;
  readonly libraryPath: string;

  private constructor({ api, version, path }: OrtLibrary, pointer: Pointer<"Env">) {
    this.version = version;
    this.libraryPath = path;
    const allocator: Out<Pointer<"Allocator">> = [null];
    check(api, api.GetAllocatorWithDefaultOptions(allocator), "give its CPU allocator");
    this[NATIVE] = { api, pointer, allocator: stored(allocator) };
  }

  /** Loads the library at the first call. Throws NativeError `library`. */
  static open(): OrtEnvironment {
    if (OrtEnvironment.#current !== undefined) return OrtEnvironment.#current;
    const library = loadOrtLibrary();
    const pointer: Out<Pointer<"Env">> = [null];
    return OrtEnvironment.#adopt(library, library.api.CreateEnv(LOG_FATAL, "vitrine", pointer), pointer);
  }

  /** As `open`, but registers ONNX Runtime's operators, which takes 20 ms, on another thread. */
  static async start(): Promise<OrtEnvironment> {
    if (OrtEnvironment.#current !== undefined) return OrtEnvironment.#current;
    const library = loadOrtLibrary();
    const pointer: Out<Pointer<"Env">> = [null];
    const status = await onAnotherThread(library.api.CreateEnv, LOG_FATAL, "vitrine", pointer);
    return OrtEnvironment.#adopt(library, status, pointer);
  }

  /** Whoever asks ONNX Runtime for an environment gets the same one: of two that were made at once, one is kept. */
  static #adopt(library: OrtLibrary, status: Pointer<"Status"> | null, pointer: Out<Pointer<"Env">>): OrtEnvironment {
    check(library.api, status, "create its environment");
    OrtEnvironment.#current ??= new OrtEnvironment(library, stored(pointer));
    return OrtEnvironment.#current;
  }

  /**
   * For who uses a provider that is a library of its own. As the process ends, such a library calls into ONNX Runtime's, which
   * koffi has unloaded by then; the environment unloads it before.
   */
  endInOrder(): void {
    if (this.#endsInOrder) return;
    this.#endsInOrder = true;
    const { api, pointer } = this[NATIVE];
    process.once("exit", () => api.ReleaseEnv(pointer));
  }

  /** How the library was built: commit and switches. */
  get buildInfo(): string {
    return this[NATIVE].api.GetBuildInfoString();
  }

  /** Execution providers that this library has, e.g. `CPUExecutionProvider`. */
  get providers(): string[] {
    const { api } = this[NATIVE];
    const texts: Out<Pointer<"Texts">> = [null];
    const count: Out<number> = [null];
    check(api, api.GetAvailableProviders(texts, count), "list its providers");
    const names = koffi.decode(stored(texts), "str", stored(count)) as string[];
    check(api, api.ReleaseAvailableProviders(stored(texts), names.length), "release the list of providers");
    return names;
  }
}
