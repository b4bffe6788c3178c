import { koffi } from "./koffi.js";
import { LOG_FATAL, type OrtApi, type Out, type Pointer } from "./ort-api.js";
import { check, loadOrtLibrary, type OrtLibrary, stored } from "./ort-library.js";

/** What the other classes of `native/` need of the environment. */
export const NATIVE: unique symbol = Symbol("native");

interface NativeEnvironment {
  readonly api: OrtApi;
  readonly pointer: Pointer<"Env">;
  /** ONNX Runtime's plain CPU allocator: aligned, no arena, freed memory goes back to the system. */
  readonly allocator: Pointer<"Allocator">;
}

/**
 * ONNX Runtime's environment: one in a process, shared with onnxruntime-node, and never released, as sessions of others
 * may live in it.
 */
export class OrtEnvironment {
  static #current: OrtEnvironment | undefined;
  readonly [NATIVE]: NativeEnvironment;
  /** e.g. `1.30.0`. */
  readonly version: string;
  readonly libraryPath: string;

  private constructor({ api, version, path }: OrtLibrary) {
    this.version = version;
    this.libraryPath = path;
    const pointer: Out<Pointer<"Env">> = [null];
    check(api, api.CreateEnv(LOG_FATAL, "vitrine", pointer), "create its environment");
    const allocator: Out<Pointer<"Allocator">> = [null];
    check(api, api.GetAllocatorWithDefaultOptions(allocator), "give its CPU allocator");
    this[NATIVE] = { api, pointer: stored(pointer), allocator: stored(allocator) };
  }

  /** Loads the library at the first call. Throws NativeError `library`. */
  static open(): OrtEnvironment {
    OrtEnvironment.#current ??= new OrtEnvironment(loadOrtLibrary());
    return OrtEnvironment.#current;
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
