import { Worker } from "node:worker_threads";
import { VitrineError } from "../../errors.js";
import { reasonOf } from "../files/json-file.js";
import { type EncodeInput, type LongInputEncoder, tooLong } from "./tokenizer.js";
import type { EncodeJob, EncodeResult, WorkerSetup } from "./tokenizer-worker.js";

/** More would hold more memory than they are worth: each may be a body of the largest size. */
const MOST_WAITING = 64;

interface Task extends EncodeJob {
  readonly resolve: (ids: Int32Array) => void;
  readonly reject: (reason: unknown) => void;
}

/**
 * Encodes in a worker thread of its own, one input after the other. The thread starts with the first and, idle,
 * keeps no process alive. An input whose caller gives up is dropped; if it is being encoded, its thread is ended, as nothing
 * else stops it.
 */
export class TokenizerThread implements LongInputEncoder {
  readonly #setup: WorkerSetup;
  readonly #entry: URL;
  readonly #waiting: Task[] = [];
  #running: Task | undefined;
  #worker: Worker | undefined;
  #closed = false;

  constructor(directory: string, entry = new URL("./tokenizer-worker.js", import.meta.url)) {
    this.#setup = { directory };
    this.#entry = entry;
  }

  encode(input: EncodeInput, mostTokens: number, signal: AbortSignal): Promise<Int32Array> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      if (this.#closed) return reject(new VitrineError("draining", "The server is shutting down: try again soon."));
      if (this.#waiting.length >= MOST_WAITING) return reject(tooMany());
      const onAbort = (): void => this.#abandon(task, signal.reason);
      const settled = <Value>(settle: (value: Value) => void) => {
        return (value: Value): void => {
          signal.removeEventListener("abort", onAbort);
          settle(value);
        };
      };
      const task: Task = { input, mostTokens, resolve: settled(resolve), reject: settled(reject) };
      signal.addEventListener("abort", onAbort);
      this.#waiting.push(task);
      this.#next();
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    const gone = new VitrineError("draining", "The server shut down before the prompt was tokenized.");
    for (const task of this.#waiting.splice(0)) task.reject(gone);
    this.#running?.reject(gone);
    this.#running = undefined;
    await this.#stopWorker();
  }

  #next(): void {
    if (this.#running !== undefined) return;
    const task = this.#waiting.shift();
    if (task === undefined) return;
    this.#running = task;
    try {
      this.#worker ??= this.#startWorker();
      // Whoever waits for ids keeps the process alive, an idle thread does not.
      this.#worker.ref();
      const job: EncodeJob = { input: task.input, mostTokens: task.mostTokens };
      this.#worker.postMessage(job);
    } catch (cause) {
      this.#settle((running) => running.reject(threadLost(reasonOf(cause), cause)));
    }
  }

  #startWorker(): Worker {
    // Flags of this process (an inspector, a preloaded module) are not meant for the thread.
    const worker = new Worker(this.#entry, { workerData: this.#setup, execArgv: [], name: "vitrine-tokenizer" });
    const lost = (reason: string, cause?: unknown): void => {
      if (worker !== this.#worker) return;
      this.#worker = undefined;
      this.#settle((task) => task.reject(threadLost(reason, cause)));
    };
    worker.on("message", (result: EncodeResult) => {
      if (worker === this.#worker) this.#settle((task) => settleWith(task, result));
    });
    // The text of an unforeseen error may quote the prompt: its code has to do.
    worker.on("error", (error) => lost(codeOf(error), error));
    worker.on("exit", (code) => lost(`exit code ${code}`));
    return worker;
  }

  #settle(settle: (task: Task) => void): void {
    const task = this.#running;
    this.#running = undefined;
    if (task !== undefined) settle(task);
    this.#next();
    if (this.#running === undefined) this.#worker?.unref();
  }

  #abandon(task: Task, reason: unknown): void {
    task.reject(reason);
    const place = this.#waiting.indexOf(task);
    if (place >= 0) this.#waiting.splice(place, 1);
    if (task !== this.#running) return;
    void this.#stopWorker();
    this.#settle(() => {});
  }

  async #stopWorker(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
  }
}

function settleWith({ input, mostTokens, resolve, reject }: Task, result: EncodeResult): void {
  switch (result.kind) {
    case "ids":
      resolve(result.ids);
      break;
    case "too_long":
      reject(tooLong(input.kind, mostTokens));
      break;
    case "failed":
      reject(VitrineError.fromWire(result.error));
  }
}

function codeOf(error: Error): string {
  return "code" in error && typeof error.code === "string" ? error.code : error.name;
}

function threadLost(reason: string, cause: unknown): VitrineError {
  return new VitrineError("internal", `The thread that tokenizes long prompts ended (${reason}): send it again.`, {
    cause,
  });
}

function tooMany(): VitrineError {
  return new VitrineError("queue_full", `${MOST_WAITING} long prompts wait for the tokenizer: try again later.`);
}
