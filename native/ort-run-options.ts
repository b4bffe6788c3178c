import { NativeObject, POINTER } from "./native-object.js";
import type { OrtApi, Out, Pointer } from "./ort-api.js";
import { NATIVE, type OrtEnvironment } from "./ort-environment.js";
import { check, stored } from "./ort-library.js";

/** Of runs: to end them from outside, and their configuration. One object may serve many runs, one after the other or at once. */
export class OrtRunOptions extends NativeObject<"RunOptions"> {
  readonly #api: OrtApi;

  private constructor(api: OrtApi, pointer: Pointer<"RunOptions">) {
    super("run options", pointer, (options) => api.ReleaseRunOptions(options));
    this.#api = api;
  }

  /** `entries` are of onnxruntime_run_options_config_keys.h. */
  static create(environment: OrtEnvironment, entries: Readonly<Record<string, string>> = {}): OrtRunOptions {
    const { api } = environment[NATIVE];
    const pointer: Out<Pointer<"RunOptions">> = [null];
    check(api, api.CreateRunOptions(pointer), "create run options");
    const options = new OrtRunOptions(api, stored(pointer));
    for (const [key, value] of Object.entries(entries)) {
      check(api, api.AddRunConfigEntry(options[POINTER](), key, value), `set ${key}`);
    }
    return options;
  }

  /** Every run with these options, now or later, stops at its next node and throws NativeError `terminated`. */
  terminate(): void {
    check(this.#api, this.#api.RunOptionsSetTerminate(this[POINTER]()), "terminate a run");
  }

  /** Runs go again. */
  resume(): void {
    check(this.#api, this.#api.RunOptionsUnsetTerminate(this[POINTER]()), "let runs go again");
  }
}
