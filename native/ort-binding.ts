import { koffi } from "./koffi.js";
import { NativeError } from "./native-error.js";
import { NativeObject, POINTER, RELEASE, RETAIN, type Retainable } from "./native-object.js";
import type { OrtApi, Out, Pointer } from "./ort-api.js";
import { NATIVE } from "./ort-environment.js";
import { check, stored } from "./ort-library.js";
import { OrtMemory } from "./ort-memory.js";
import type { OrtRunOptions } from "./ort-run-options.js";
import type { OrtSession, OrtValueInfo } from "./ort-session.js";
import { OrtTensor } from "./ort-value.js";

/**
 * The inputs and outputs of runs of one session, bound once and used for many. Bound tensors stay alive for as long
 * as they are bound. After ONNX Runtime refused a tensor the binding is of no more use and says so.
 */
export class OrtBinding extends NativeObject<"Binding"> {
  readonly #api: OrtApi;
  readonly #session: OrtSession;
  readonly #inputs: ReadonlyMap<string, OrtValueInfo>;
  readonly #outputs: ReadonlyMap<string, OrtValueInfo>;
  /** What inputs and outputs are bound to, outputs in the order that ONNX Runtime lists them in. */
  readonly #bound: BoundObjects;
  #broken = false;
  #running = false;

  private constructor(session: OrtSession, pointer: Pointer<"Binding">) {
    const api = session[NATIVE];
    const bound: BoundObjects = { input: new Map(), output: new Map() };
    const free = (binding: Pointer<"Binding">): void => {
      api.ReleaseIoBinding(binding);
      for (const used of [...bound.input.values(), ...bound.output.values()]) used[RELEASE]();
    };
    super("binding", pointer, free, [session]);
    this.#api = api;
    this.#session = session;
    this.#bound = bound;
    this.#inputs = new Map(session.inputs.map((info) => [info.name, info]));
    this.#outputs = new Map(session.outputs.map((info) => [info.name, info]));
  }

  static create(session: OrtSession): OrtBinding {
    const api = session[NATIVE];
    const binding: Out<Pointer<"Binding">> = [null];
    check(api, api.CreateIoBinding(session[POINTER](), binding), "create a binding");
    return new OrtBinding(session, stored(binding));
  }

  /** Throws NativeError `misuse` for a name, an element type or a shape that the session does not have. */
  bindInput(name: string, tensor: OrtTensor): void {
    checkFits("input", this.#inputs, name, tensor);
    this.#bind("input", name, tensor, this.#api.BindInput(this.#usable(), name, tensor[POINTER]()));
  }

  /** A run writes into `tensor`, whose shape has to be that of the result. */
  bindOutput(name: string, tensor: OrtTensor): void {
    checkFits("output", this.#outputs, name, tensor);
    this.#bind("output", name, tensor, this.#api.BindOutput(this.#usable(), name, tensor[POINTER]()));
  }

  /** Each run allocates this output; `takeOutputs` gives it. */
  bindOutputIn(name: string, memory: OrtMemory): void {
    if (!this.#outputs.has(name)) throw unknownName("output", name, this.#outputs);
    this.#bind("output", name, memory, this.#api.BindOutputToDevice(this.#usable(), name, memory[POINTER]()));
  }

  /** Runs on this thread. Throws NativeError `invalid_argument`, `terminated`, `out_of_memory` or `failed`. */
  run(options?: OrtRunOptions): void {
    const binding = this.#usable();
    const status = this.#api.RunWithBinding(this.#session[POINTER](), options?.[POINTER]() ?? null, binding);
    check(this.#api, status, "run the model");
  }

  /** Runs on another thread; bindings and tensors must be left alone until it has ended. Errors as of `run`. */
  async runAsync(options?: OrtRunOptions): Promise<void> {
    const binding = this.#usable();
    const session = this.#session[POINTER]();
    const settings = options?.[POINTER]() ?? null;
    const inUse: Retainable[] = options === undefined ? [this] : [this, options];
    this.#running = true;
    for (const used of inUse) used[RETAIN]();
    try {
      const status = await new Promise<Pointer<"Status"> | null>((resolve, reject) =>
        this.#api.RunWithBinding.async(session, settings, binding, (error, result) =>
          error === null ? resolve(result) : reject(error),
        ),
      );
      check(this.#api, status, "run the model");
    } finally {
      this.#running = false;
      for (const used of inUse) used[RELEASE]();
    }
  }

  /** What the last run allocated for `bindOutputIn`, by name. The caller disposes the tensors. */
  takeOutputs(): Map<string, OrtTensor> {
    const names = [...this.#bound.output];
    const taken = new Map<string, OrtTensor>();
    for (const [index, pointer] of this.#outputValues().entries()) {
      const [name, bound] = names[index] ?? [];
      if (name !== undefined && bound instanceof OrtMemory) taken.set(name, OrtTensor.adopt(bound, pointer));
      else this.#api.ReleaseValue(pointer);
    }
    return taken;
  }

  #outputValues(): Pointer<"Value">[] {
    const { allocator } = this.#session.environment[NATIVE];
    const array: Out<Pointer<"Text">> = [null];
    const count: Out<number> = [null];
    check(this.#api, this.#api.GetBoundOutputValues(this.#usable(), allocator, array, count), "give the outputs");
    const [values] = array;
    if (values === null) return [];
    const pointers = koffi.decode(values, "void *", stored(count)) as Pointer<"Value">[];
    check(this.#api, this.#api.AllocatorFree(allocator, values), "free the list of outputs");
    return pointers;
  }

  #usable(): Pointer<"Binding"> {
    const pointer = this[POINTER]();
    if (this.#running) throw new NativeError("misuse", "This binding is in a run; wait until it has ended.");
    if (this.#broken) throw new NativeError("misuse", "ONNX Runtime refused a tensor of this binding; make a new one.");
    return pointer;
  }

  #bind(side: Side, name: string, object: Retainable, status: Pointer<"Status"> | null): void {
    // A binding that refused once keeps half of what it was given, and runs with it.
    this.#broken = status !== null;
    check(this.#api, status, `bind ${side} "${name}"`);
    object[RETAIN]();
    this.#bound[side].get(name)?.[RELEASE]();
    this.#bound[side].set(name, object);
  }
}

type Side = "input" | "output";
type BoundObjects = Readonly<Record<Side, Map<string, Retainable>>>;

function checkFits(side: Side, declared: ReadonlyMap<string, OrtValueInfo>, name: string, tensor: OrtTensor): void {
  const info = declared.get(name);
  if (info === undefined) throw unknownName(side, name, declared);
  const { type, shape } = info;
  if (type !== tensor.type) {
    throw new NativeError(
      "misuse",
      `The session's ${side} "${name}" is ${type ?? "no tensor"}, the tensor ${tensor.type}.`,
    );
  }
  const fits =
    shape.length === tensor.shape.length &&
    shape.every((dimension, axis) => typeof dimension === "string" || dimension === tensor.shape[axis]);
  if (fits) return;
  const wanted = shape.map((dimension) => (dimension === "" ? "?" : dimension)).join(", ");
  throw new NativeError(
    "misuse",
    `The session's ${side} "${name}" has the shape [${wanted}], the tensor [${tensor.shape.join(", ")}].`,
  );
}

function unknownName(side: Side, name: string, declared: ReadonlyMap<string, OrtValueInfo>): NativeError {
  return new NativeError("misuse", `The session has no ${side} "${name}"; it has ${[...declared.keys()].join(", ")}.`);
}
