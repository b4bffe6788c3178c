import { Worker } from "node:worker_threads";
import { monotonicMicros } from "../../protocol.js";
import type { EmbeddedStore, StoreAnswer, TracingOptions } from "../contract.js";
import {
  dropsAtDestination,
  dropsBeforeDestinations,
  type ProducerCounts,
  readCounters,
  type ThreadCounters,
  totals,
} from "../counters.js";
import { DropLog } from "../drop-log.js";
import type { DeviceReading } from "./gpu-watch.js";
import { RingReader } from "./ring.js";
import type { FromThread, ThreadData, ToThread } from "./thread-messages.js";
import { BEATS_PER_LOOK, ThreadWatch } from "./thread-watch.js";

const ENTRY = new URL("./export-thread.js", import.meta.url);
/** Far above what the bounded queue and store take; a leak ends the thread, not the process. */
const MAX_HEAP_MB = 256;
const DROP_LOG_MS = 1_000;
/** Of lists of spans that the thread has yet to take: a slow thread shall not fill the process's memory. */
const MAX_POSTED_BYTES = 16 * 2 ** 20;
const BUSY: StoreAnswer = { status: 503, body: "too many spans are waiting to be stored; send them again shortly" };
const GONE: StoreAnswer = { status: 503, body: "the export thread is not running; ask again shortly" };

/** The producer's side of the export thread: starts it, watches it, restarts it, asks it, stops it. */
export class Exporter implements EmbeddedStore {
  #worker: Worker | undefined;
  #stopping = false;
  /** Told to end, because it hung. */
  #hung = false;
  #restartTimer: NodeJS.Timeout | undefined;
  #nextId = 0;
  #postedBytes = 0;
  readonly #pending = new Map<number, (answer: StoreAnswer) => void>();
  #stopped: (() => void) | undefined;
  readonly #accounts: readonly { readonly counters: ThreadCounters; readonly drops: DropLog; readonly name: string }[];
  /** What is dropped before spans part is told of once, whatever the number of destinations. */
  readonly #commonDrops: DropLog;
  readonly #watch: ThreadWatch;
  readonly #timers: readonly NodeJS.Timeout[];

  constructor(
    private readonly data: ThreadData,
    counters: readonly ThreadCounters[],
    private readonly produced: ProducerCounts,
    private readonly log: TracingOptions["log"],
  ) {
    this.#accounts = counters.map((own, index) => {
      // One destination needs no name.
      const name = counters.length === 1 ? "" : ` (${data.destinations[index]?.kind})`;
      return { counters: own, name, drops: new DropLog((level, message) => log(level, `${message}${name}`)) };
    });
    this.#commonDrops = new DropLog(log);
    this.#watch = new ThreadWatch(data.heartbeat);
    this.#timers = [
      setInterval(() => this.#tellOfDrops(), DROP_LOG_MS).unref(),
      setInterval(() => this.#look(), BEATS_PER_LOOK * data.heartbeatMs).unref(),
    ];
    this.#start();
  }

  get(path: string): Promise<StoreAnswer> {
    return this.#ask((id) => ({ type: "get", id, path }));
  }

  async post(list: Uint8Array, gzip: boolean): Promise<StoreAnswer> {
    if (this.#postedBytes + list.byteLength > MAX_POSTED_BYTES) return BUSY;
    this.#postedBytes += list.byteLength;
    const answer = await this.#ask((id) => ({ type: "post", id, list, gzip }));
    this.#postedBytes -= list.byteLength;
    return answer;
  }

  /** Of the GPUs watched; none while the thread is gone. */
  async gpus(): Promise<readonly DeviceReading[]> {
    if (this.data.gpuDeviceIds.length === 0) return [];
    const { status, body } = await this.#ask((id) => ({ type: "gpus", id }));
    return status === 200 ? (JSON.parse(body) as readonly DeviceReading[]) : [];
  }

  #ask(question: (id: number) => ToThread): Promise<StoreAnswer> {
    const worker = this.#worker;
    if (worker === undefined) return Promise.resolve(GONE);
    const id = this.#nextId++;
    return new Promise((resolve) => {
      this.#pending.set(id, resolve);
      // Whoever waits for the answer keeps the process alive, nobody else.
      worker.ref();
      this.#post(worker, question(id));
    });
  }

  /** Sends what it can within `timeoutMs`; what is left then is counted as dropped. Logs what became of all spans. */
  async shutdown(timeoutMs: number): Promise<void> {
    if (this.#stopping) return;
    this.#stop();
    const worker = this.#worker;
    if (worker !== undefined) {
      await this.#flush(worker, timeoutMs);
      await worker.terminate();
    }
    this.#tellOfAll();
  }

  /** As `shutdown`, where nothing may come later, such as in an exiting process: blocks the calling thread meanwhile. */
  shutdownNow(timeoutMs: number): void {
    if (this.#stopping) return;
    this.#stop();
    const worker = this.#worker;
    if (worker !== undefined) {
      this.#post(worker, { type: "shutdown", deadline: monotonicMicros() + timeoutMs * 1e3 });
      Atomics.wait(new Int32Array(this.data.flushed), 0, 0, timeoutMs);
      void worker.terminate();
    }
    this.#tellOfAll();
  }

  #stop(): void {
    this.#stopping = true;
    clearTimeout(this.#restartTimer);
    for (const timer of this.#timers) clearInterval(timer);
  }

  #tellOfAll(): void {
    this.#settle(this.produced.written, "shutdown");
    this.#tellOfDrops();
    for (const { counters, name } of this.#accounts) {
      const all = readCounters(this.produced, counters);
      const lost = Object.values(all.dropped).some((count) => count > 0);
      this.log(lost ? "warn" : "info", `Spans since start${name}: ${totals(all)}.`);
    }
  }

  #flush(worker: Worker, timeoutMs: number): Promise<void> {
    worker.ref();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, timeoutMs);
      this.#stopped = () => {
        clearTimeout(timer);
        resolve();
      };
      this.#post(worker, { type: "shutdown", deadline: monotonicMicros() + timeoutMs * 1e3 });
    });
  }

  #post(worker: Worker, message: ToThread): void {
    worker.postMessage(message);
  }

  #start(): void {
    const worker = new Worker(ENTRY, {
      workerData: this.data,
      // Flags of this process (an inspector, a preloaded module, `-e`) are not meant for the thread.
      execArgv: [],
      env: { ...process.env, NODE_OPTIONS: "" },
      name: "vitrine-export",
      resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB },
    });
    this.#worker = worker;
    this.#watch.started();
    let failure = "it ended";
    worker.on("error", (error) => {
      failure = error instanceof Error ? error.message : String(error);
    });
    worker.on("message", (message: FromThread) => this.#receive(message));
    worker.on("exit", () => this.#exited(this.#hung ? "it hung" : failure));
    // After the listeners: adding one for messages keeps the process alive again.
    worker.unref();
  }

  /** A thread that hangs is ended, which is a crash like others. */
  #look(): void {
    if (this.#worker === undefined || this.#hung || !this.#watch.hung()) return;
    this.#hung = true;
    void this.#worker.terminate();
  }

  #receive(message: FromThread): void {
    if (message.type === "log") this.log(message.level, message.message);
    else if (message.type === "stopped") this.#stopped?.();
    else {
      const { status, body } = message;
      this.#pending.get(message.id)?.({ status, body });
      this.#pending.delete(message.id);
      if (this.#pending.size === 0 && !this.#stopping) this.#worker?.unref();
    }
  }

  #exited(reason: string): void {
    this.#worker = undefined;
    this.#hung = false;
    for (const answer of this.#pending.values()) answer(GONE);
    this.#pending.clear();
    this.#stopped?.();
    if (this.#stopping) return;
    // What is in the ring stays there for its successor.
    this.#settle(this.produced.written - new RingReader(this.data.ring).waiting, "thread_lost");
    const pause = this.#watch.pause();
    this.log(
      "error",
      `The export thread stopped (${reason}); it starts again in ${pause} ms. Only traces are affected.`,
    );
    this.#restartTimer = setTimeout(() => this.#start(), pause).unref();
  }

  #tellOfDrops(): void {
    const now = performance.now();
    const [first] = this.#accounts;
    if (first !== undefined) this.#commonDrops.check(now, dropsBeforeDestinations(this.produced, first.counters));
    for (const { counters, drops } of this.#accounts) drops.check(now, dropsAtDestination(counters));
  }

  #settle(read: number, cause: "thread_lost" | "shutdown"): void {
    for (const { counters } of this.#accounts) counters.settle(read, cause);
  }
}
