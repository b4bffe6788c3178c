/** koffi, set up for all of `native/`: its settings can be changed only before it has loaded the first library. */
import koffi from "koffi";

/** ONNX Runtime's kernels use far more stack than koffi leaves them, above all in asynchronous calls (128 KiB). */
const STACK_BYTES = 16 << 20;
/** How many stacks of asynchronous calls are kept for the next one: one session runs at a time. */
const RESIDENT_ASYNC_POOLS = 2;

if (koffi.config().async_stack_size !== STACK_BYTES) {
  koffi.config({
    sync_stack_size: STACK_BYTES,
    async_stack_size: STACK_BYTES,
    resident_async_pools: RESIDENT_ASYNC_POOLS,
  });
}

export type { LibraryHandle } from "koffi";
export { koffi };
