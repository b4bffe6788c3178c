import { NativeObject, POINTER } from "./native-object.js";
import type { OrtApi, Out, Pointer } from "./ort-api.js";
import { NATIVE, type OrtEnvironment } from "./ort-environment.js";
import { check, stored } from "./ort-library.js";

/** Ends runs from outside. One object may serve many runs, one after the other or at once. */
export class OrtRunOptions extends NativeObject<"RunOptions"> {
  readonly #api: OrtApi;

  private constructor(api: OrtApi, pointer: Pointer<"RunOptions">) {
    super("run options", pointer, (options) => api.ReleaseRunOptions(options));
    this.#api = api;
  }

  static create(environment: OrtEnvironment): OrtRunOptions {
    const { api } = environment[NATIVE];
    const pointer: Out<Pointer<"RunOptions">> = [null];
    check(api, api.CreateRunOptions(pointer), "create run options");
    return new OrtRunOptions(api, stored(pointer));
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
