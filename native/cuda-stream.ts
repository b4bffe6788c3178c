import { COPY_2D, type CudaApi, DEVICE_MEMORY, INVALID_VALUE, NON_BLOCKING } from "./cuda-api.js";
import { CudaContext, type DeviceRoom, ENTER } from "./cuda-context.js";
import { checkCuda, checkQueued } from "./cuda-driver.js";
import { NativeError } from "./native-error.js";
import { NativeObject, POINTER } from "./native-object.js";
import type { Out, Pointer } from "./ort-api.js";
import { stored } from "./ort-library.js";

/** Where on the device something is. For `native/` alone. */
export const REGION: unique symbol = Symbol("region");

/** What a stream is in. For `native/` alone. */
export const CONTEXT: unique symbol = Symbol("context");

/** Memory of a device: an allocation, or a tensor in one. */
export interface DeviceMemory {
  [REGION](): { readonly address: bigint; readonly bytes: number };
}

/** Blocks of equal size: the first `offset` bytes into the memory, each next one `pitch` bytes further on. */
export interface DeviceBlocks {
  readonly memory: DeviceMemory;
  readonly offset: number;
  readonly pitch: number;
}

/**
 * An order of things that a device does: copies, and the runs of sessions that were created with it. Each begins when
 * those queued before it have ended; this process waits for nothing but `synchronize`. Offsets and sizes are bytes.
 * Methods that queue throw NativeError `misuse` for what is outside of the memory, and `device_lost`, also for what went
 * wrong in anything queued before.
 */
export class CudaStream extends NativeObject<"Stream"> {
  readonly [CONTEXT]: CudaContext;
  readonly #pointer: Pointer<"Stream">;
  /** Memory of this process that queued copies read or write. Whole buffers: those of a step are the same in the next one. */
  readonly #inUse = new Set<ArrayBufferLike>();
  /** Written anew for every pitched copy, which reads it before it returns. */
  readonly #copy = new BigUint64Array(COPY_2D.slots);

  private constructor(context: CudaContext, pointer: Pointer<"Stream">) {
    const free = (): void => {
      const api = context[ENTER]();
      // Destroyed streams go on working, and memory of this process must not go before.
      api.cuStreamSynchronize(pointer);
      api.cuStreamDestroy_v2(pointer);
    };
    super("CUDA stream", pointer, free, [context]);
    this[CONTEXT] = context;
    this.#pointer = pointer;
    this.#copy[COPY_2D.srcMemoryType] = DEVICE_MEMORY;
    this.#copy[COPY_2D.dstMemoryType] = DEVICE_MEMORY;
  }

  /**
   * A new stream of a device, by CUDA's own numbering. Throws NativeError `library` without a driver,
   * `invalid_argument` for a device that is not there, `out_of_memory` or `failed`.
   */
  static open(device: number, library?: string): CudaStream {
    const context = CudaContext.open(device, library);
    try {
      const api = context[ENTER]();
      const pointer: Out<Pointer<"Stream">> = [null];
      checkCuda(api, api.cuStreamCreate(pointer, NON_BLOCKING), "create a stream");
      return new CudaStream(context, stored(pointer));
    } finally {
      // The stream keeps it.
      context.dispose();
    }
  }

  /** As in ONNX Runtime's `device_id`. */
  get device(): number {
    return this[CONTEXT].ordinal;
  }

  /** Of the device, at this moment. */
  get room(): DeviceRoom {
    this[POINTER]();
    return this[CONTEXT].memory;
  }

  /** Makes all of it zero. */
  clear(memory: DeviceMemory): void {
    const api = this.#enter();
    const { address, bytes } = memory[REGION]();
    checkQueued(api, api.cuMemsetD8Async(address, 0, bytes, this.#pointer), "clear memory");
  }

  /** To the device; `source` must not change before `synchronize`, and is kept until then. */
  copyFromHost(source: ArrayBufferView, target: DeviceMemory, offset: number): void {
    const api = this.#enter();
    const to = place(target, offset, source.byteLength);
    if (source.byteLength === 0) return;
    this.#inUse.add(source.buffer);
    checkQueued(api, api.cuMemcpyHtoDAsync_v2(to, source, source.byteLength, this.#pointer), "copy to the device");
  }

  /** From the device; `target` has it after `synchronize`, and is kept until then. */
  copyToHost(source: DeviceMemory, offset: number, target: ArrayBufferView): void {
    const api = this.#enter();
    const from = place(source, offset, target.byteLength);
    if (target.byteLength === 0) return;
    this.#inUse.add(target.buffer);
    checkQueued(api, api.cuMemcpyDtoHAsync_v2(target, from, target.byteLength, this.#pointer), "copy from the device");
  }

  /** `count` blocks of `bytes` each, within the device. None may overlap another or what it is copied to. */
  copyBlocks(source: DeviceBlocks, target: DeviceBlocks, bytes: number, count: number): void {
    const api = this.#enter();
    const [from, to] = [placeBlocks(source, bytes, count), placeBlocks(target, bytes, count)];
    if (bytes === 0 || count === 0) return;
    if (count > 1) {
      const copy = this.#copy;
      copy[COPY_2D.srcDevice] = from;
      copy[COPY_2D.srcPitch] = BigInt(source.pitch);
      copy[COPY_2D.dstDevice] = to;
      copy[COPY_2D.dstPitch] = BigInt(target.pitch);
      copy[COPY_2D.width] = BigInt(bytes);
      copy[COPY_2D.height] = BigInt(count);
      const result = api.cuMemcpy2DAsync_v2(copy, this.#pointer);
      // Drivers may refuse pitches that they have not chosen themselves.
      if (result !== INVALID_VALUE) {
        checkQueued(api, result, "copy blocks on the device");
        return;
      }
    }
    for (let block = 0; block < count; block++) {
      const [start, end] = [from + BigInt(block * source.pitch), to + BigInt(block * target.pitch)];
      checkQueued(api, api.cuMemcpyDtoDAsync_v2(end, start, bytes, this.#pointer), "copy on the device");
    }
  }

  /** Waits until all that was queued is done. Throws NativeError `device_lost`. */
  synchronize(): void {
    const api = this.#enter();
    const result = api.cuStreamSynchronize(this.#pointer);
    // Where it failed, the context is lost with all that was queued in it.
    this.#inUse.clear();
    checkQueued(api, result, "finish what was queued");
  }

  #enter(): CudaApi {
    this[POINTER]();
    return this[CONTEXT][ENTER]();
  }
}

/** The address of bytes within the memory. */
function place(memory: DeviceMemory, offset: number, size: number): bigint {
  const { address, bytes } = memory[REGION]();
  if (Number.isSafeInteger(offset) && offset >= 0 && size >= 0 && offset + size <= bytes)
    return address + BigInt(offset);
  throw new NativeError("misuse", `${size} bytes from ${offset} on are not within ${bytes} bytes of device memory.`);
}

function placeBlocks({ memory, offset, pitch }: DeviceBlocks, bytes: number, count: number): bigint {
  if (count > 1 && pitch < bytes) {
    throw new NativeError("misuse", `Blocks of ${bytes} bytes do not fit ${pitch} bytes apart.`);
  }
  return place(memory, offset, count === 0 ? 0 : (count - 1) * pitch + bytes);
}
