import { CudaAllocation } from "./cuda-allocation.js";
import { type CudaStream, type DeviceMemory, REGION } from "./cuda-stream.js";
import { koffi } from "./koffi.js";
import { NativeError } from "./native-error.js";
import { NativeObject, POINTER, type Retainable } from "./native-object.js";
import { ELEMENT_TYPES, type ElementType, type OrtApi, type Out, type Pointer } from "./ort-api.js";
import { NATIVE } from "./ort-environment.js";
import { check, stored } from "./ort-library.js";
import { ALLOCATOR, type OrtMemory } from "./ort-memory.js";
import { readTensorInfo } from "./ort-tensor-info.js";

/** The typed array for each element type. Both of 16 bits come as bit patterns: Node 20 has no Float16Array, and bfloat16 no Node. */
const ARRAYS = {
  float32: Float32Array,
  float64: Float64Array,
  float16: Uint16Array,
  bfloat16: Uint16Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int8: Int8Array,
  uint8: Uint8Array,
  bool: Uint8Array,
} as const satisfies Record<ElementType, unknown>;

export type TensorData<T extends ElementType> = InstanceType<(typeof ARRAYS)[T]>;

interface TensorParts<T extends ElementType> {
  readonly pointer: Pointer<"Value">;
  readonly memory: OrtMemory;
  readonly type: T;
  readonly shape: readonly number[];
  /** Whose memory this is: another tensor's, or an allocation on a device. */
  readonly owner?: Retainable;
}

/**
 * A tensor in memory of ONNX Runtime's or a device's: V8 neither moves nor collects it, so a run may go on while
 * JavaScript does something else. Views share that memory and keep it.
 */
export class OrtTensor<T extends ElementType = ElementType> extends NativeObject<"Value"> implements DeviceMemory {
  readonly type: T;
  readonly shape: readonly number[];
  /** Elements. */
  readonly size: number;
  readonly #api: OrtApi;
  readonly #memory: OrtMemory;
  #address: Pointer<"Data"> | undefined;
  #data: TensorData<T> | undefined;

  private constructor({ pointer, memory, type, shape, owner }: TensorParts<T>) {
    const api = memory[NATIVE];
    super("tensor", pointer, (value) => api.ReleaseValue(value), owner === undefined ? [memory] : [memory, owner]);
    this.type = type;
    this.shape = shape;
    this.size = sizeOf(shape);
    this.#api = api;
    this.#memory = memory;
  }

  /** Its elements are whatever the memory held. Throws NativeError `out_of_memory`, or `misuse` for a bad shape. */
  static allocate<T extends ElementType>(memory: OrtMemory, type: T, shape: readonly number[]): OrtTensor<T> {
    checkShape(shape);
    const api = memory[NATIVE];
    memory[POINTER]();
    if (memory.stream !== undefined) return OrtTensor.#allocateOn(memory, memory.stream, type, shape);
    const value: Out<Pointer<"Value">> = [null];
    const status = api.CreateTensorAsOrtValue(memory[ALLOCATOR], dims(shape), shape.length, ELEMENT_TYPES[type], value);
    check(api, status, `allocate a ${describe(type, shape)} tensor`);
    return new OrtTensor({ pointer: stored(value), memory, type, shape });
  }

  static #allocateOn<T extends ElementType>(
    memory: OrtMemory,
    stream: CudaStream,
    type: T,
    shape: readonly number[],
  ): OrtTensor<T> {
    const owner = CudaAllocation.create(stream, sizeOf(shape) * ARRAYS[type].BYTES_PER_ELEMENT);
    try {
      return OrtTensor.#over({ memory, type, shape, owner }, owner[REGION]().address);
    } finally {
      // The tensor keeps it.
      owner.dispose();
    }
  }

  /** A tensor over memory that there is. */
  static #over<T extends ElementType>(parts: Omit<TensorParts<T>, "pointer">, address: bigint): OrtTensor<T> {
    const { memory, type, shape } = parts;
    const api = memory[NATIVE];
    const bytes = sizeOf(shape) * ARRAYS[type].BYTES_PER_ELEMENT;
    const value: Out<Pointer<"Value">> = [null];
    const status = api.CreateTensorWithDataAsOrtValue(
      memory[POINTER](),
      address as Pointer<"Data">,
      bytes,
      dims(shape),
      shape.length,
      ELEMENT_TYPES[type],
      value,
    );
    check(api, status, `make a ${describe(type, shape)} tensor`);
    return new OrtTensor({ ...parts, pointer: stored(value) });
  }

  /** Takes over a value that a run made in `memory`. */
  static adopt(memory: OrtMemory, pointer: Pointer<"Value">): OrtTensor {
    const api = memory[NATIVE];
    try {
      const { type, shape } = readTensorInfo(api, pointer);
      return new OrtTensor({ pointer, memory, type, shape });
    } catch (error) {
      api.ReleaseValue(pointer);
      throw error;
    }
  }

  /** A tensor over this one's memory, from element `offset` on. Throws NativeError `misuse` when it does not fit. */
  view(offset: number, shape: readonly number[]): OrtTensor<T> {
    checkShape(shape);
    const size = sizeOf(shape);
    if (!Number.isSafeInteger(offset) || offset < 0 || offset + size > this.size) {
      throw new NativeError("misuse", `${size} elements from ${offset} on are not within a tensor of ${this.size}.`);
    }
    const address = this.#addressOf() + BigInt(offset * this.elementBytes);
    return OrtTensor.#over({ memory: this.#memory, type: this.type, shape, owner: this }, address);
  }

  get elementBytes(): number {
    return ARRAYS[this.type].BYTES_PER_ELEMENT;
  }

  /** Some elements, in an array of their own, wherever the tensor is. On a device it waits for what is queued there. */
  read(from: number, size: number): TensorData<T> {
    const Typed = ARRAYS[this.type] as unknown as new (size: number) => TensorData<T>;
    const { stream } = this.#memory;
    if (stream === undefined) return this.data.slice(from, from + size) as TensorData<T>;
    const read = new Typed(size);
    stream.copyToHost(this, from * this.elementBytes, read);
    stream.synchronize();
    return read;
  }

  [REGION](): { readonly address: bigint; readonly bytes: number } {
    if (this.#memory.stream === undefined) throw new NativeError("misuse", "The tensor is not in a device's memory.");
    return { address: this.#addressOf(), bytes: this.size * this.elementBytes };
  }

  /**
   * The elements themselves, not a copy. The array ends with the tensor: JavaScript cannot be kept from reading one it
   * still holds, so ask anew each time and never keep it beyond `dispose`. Throws NativeError `disposed`, or `misuse`
   * for memory of a device.
   */
  get data(): TensorData<T> {
    this[POINTER]();
    this.#data ??= this.#map();
    return this.#data;
  }

  #map(): TensorData<T> {
    if (this.#memory.device !== "cpu") {
      throw new NativeError("misuse", `A tensor in ${this.#memory.device} memory cannot be read from JavaScript.`);
    }
    const Typed = ARRAYS[this.type] as unknown as new (buffer: ArrayBuffer) => TensorData<T>;
    const bytes = this.size * this.elementBytes;
    return new Typed(bytes === 0 ? new ArrayBuffer(0) : koffi.view(this.#addressOf(), bytes));
  }

  #addressOf(): Pointer<"Data"> {
    if (this.#address !== undefined && !this.disposed) return this.#address;
    const address: Out<Pointer<"Data">> = [null];
    check(this.#api, this.#api.GetTensorMutableData(this[POINTER](), address), "find a tensor's memory");
    // An empty tensor may have none.
    this.#address = address[0] ?? (0n as Pointer<"Data">);
    return this.#address;
  }
}

function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, dimension) => product * dimension, 1);
}

function checkShape(shape: readonly number[]): void {
  const sound = shape.every((dimension) => Number.isSafeInteger(dimension) && dimension >= 0);
  // Beyond 2^53 neither the size nor an offset is exact.
  if (!sound || !Number.isSafeInteger(sizeOf(shape))) {
    throw new NativeError("misuse", `[${shape.join(", ")}] is no shape: dimensions are whole numbers from 0 on.`);
  }
}

function dims(shape: readonly number[]): BigInt64Array {
  return BigInt64Array.from(shape, BigInt);
}

function describe(type: ElementType, shape: readonly number[]): string {
  return `${type} [${shape.join(", ")}]`;
}
