import { Worker } from "node:worker_threads";
import { type Finding, ok, problem } from "./finding.js";

/** Spans leave the main thread through shared memory. @param share what another thread put there, 0 for nothing */
export async function checkThreads(share: () => Promise<number>): Promise<Finding[]> {
  const seen = await share().catch(() => 0);
  if (seen === SIGNAL) return [ok("worker threads share memory")];
  const cure =
    "Raise the limit of threads (ulimit -u, pids.max of the container), and pass no flag that disables SharedArrayBuffer.";
  return [problem("a worker thread did not start, or shares no memory", cure)];
}

const SIGNAL = 7;
const CODE = `const { workerData } = require("node:worker_threads"); Atomics.store(new Int32Array(workerData), 0, ${SIGNAL});`;

/** Starts a thread that writes into memory of this one. */
export async function shareWithThread(): Promise<number> {
  const memory = new SharedArrayBuffer(4);
  const worker = new Worker(CODE, { eval: true, workerData: memory, execArgv: [] });
  await new Promise((resolve, reject) => worker.once("exit", resolve).once("error", reject));
  return Atomics.load(new Int32Array(memory), 0);
}
