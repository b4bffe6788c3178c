import { OUT_OF_MEMORY } from "./cuda-api.js";
import { ENTER } from "./cuda-context.js";
import { checkCuda } from "./cuda-driver.js";
import { CONTEXT, type CudaStream, type DeviceMemory, REGION } from "./cuda-stream.js";
import { NativeObject, POINTER } from "./native-object.js";
import type { Out, Pointer } from "./ort-api.js";
import { stored } from "./ort-library.js";

/** Memory of a device, which it has back as soon as this is freed: there is no arena between. */
export class CudaAllocation extends NativeObject<"DeviceMemory"> implements DeviceMemory {
  readonly #pointer: Pointer<"DeviceMemory">;

  private constructor(
    stream: CudaStream,
    pointer: Pointer<"DeviceMemory">,
    readonly bytes: number,
  ) {
    const queue = stream[POINTER]();
    const context = stream[CONTEXT];
    const free = (): void => {
      const api = context[ENTER]();
      // Whatever is queued may use it. What these report, the next call reports, too.
      api.cuStreamSynchronize(queue);
      api.cuMemFree_v2(pointer);
    };
    super("device memory", pointer, free, [stream]);
    this.#pointer = pointer;
  }

  /**
   * At least one byte, aligned for any element type, all zero; all that uses it is queued in `stream`. Zero, since attention
   * multiplies what it masks: what was in the memory before may be NaN, and 0 times that is NaN. Throws NativeError
   * `out_of_memory` with the bytes asked for and free, or `failed`.
   */
  static create(stream: CudaStream, bytes: number): CudaAllocation {
    stream[POINTER]();
    const api = stream[CONTEXT][ENTER]();
    // CUDA refuses to allocate nothing.
    const size = Math.max(1, bytes);
    const address: Out<number | bigint> = [null];
    const result = api.cuMemAlloc_v2(address, size);
    const room = result === OUT_OF_MEMORY ? freeBytes(stream) : "";
    checkCuda(api, result, `allocate ${size} bytes on device ${stream.device}`, room);
    const allocation = new CudaAllocation(stream, BigInt(stored(address)) as Pointer<"DeviceMemory">, size);
    try {
      stream.clear(allocation);
      return allocation;
    } catch (error) {
      allocation.dispose();
      throw error;
    }
  }

  [REGION](): { readonly address: bigint; readonly bytes: number } {
    this[POINTER]();
    return { address: this.#pointer, bytes: this.bytes };
  }
}

function freeBytes({ room: { free, total } }: CudaStream): string {
  return `; ${free} of ${total} bytes are free`;
}
