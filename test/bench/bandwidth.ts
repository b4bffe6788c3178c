import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";

const BUFFER_BYTES = 256 << 20;
const READS = 6;

/**
 * Bytes a second that this machine reads from memory: one thread a core, each through a buffer of its own that no cache
 * holds, with the C library's search for a byte (`memchr`), whose wide loads are the fastest plain reading there is.
 * The best of several reads.
 */
export async function measureBandwidth(threads: number): Promise<number> {
  const shared = new Int32Array(new SharedArrayBuffer(8));
  const times = await Promise.all(Array.from({ length: threads }, () => readInThread(shared, threads)));
  let best = 0;
  for (let read = 0; read < READS; read++) {
    // All threads read at once: the slowest of them tells when the last byte was there.
    const slowest = Math.max(...times.map((own) => own[read] as number));
    best = Math.max(best, (threads * BUFFER_BYTES) / (slowest / 1000));
  }
  return best;
}

function readInThread(shared: Int32Array, threads: number): Promise<number[]> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: { shared, threads } });
    worker.once("message", resolve).once("error", reject);
  });
}

/** Waits, spinning, until every thread has come here `round` times. */
function meet(shared: Int32Array, threads: number, round: number): void {
  Atomics.add(shared, 0, 1);
  while (Atomics.load(shared, 0) < threads * round);
}

if (!isMainThread) {
  const { shared, threads } = workerData as { shared: Int32Array; threads: number };
  const buffer = Buffer.alloc(BUFFER_BYTES, 1);
  const times: number[] = [];
  for (let read = 1; read <= READS; read++) {
    meet(shared, threads, read);
    const start = performance.now();
    if (buffer.indexOf(0) !== -1) throw new Error("there is no such byte");
    times.push(performance.now() - start);
  }
  parentPort?.postMessage(times);
}
