import { NativeError, type OrtEnvironment, OrtRunOptions } from "../../../native/ort.js";
import type { ReplayChoice } from "../../protocol.js";
import { reasonOf } from "../files/json-file.js";
import { batchFor } from "./batch-sizes.js";
import { distance, spread } from "./logit-distance.js";
import type { RowWindow } from "./row-window.js";
import type { SlotCache } from "./slot-cache.js";

/** ONNX Runtime's name for which captured graph a run is (onnxruntime_run_options_config_keys.h). */
const GRAPH_ID = "gpu_graph_id";
/** Of runs that are neither captured nor replayed. */
const NO_GRAPH = -1;

/** A batch size is captured when so many steps have wanted it: what comes up once in passing is not worth it. */
const CAPTURE_AFTER = 16;
/** A batch size's first replays that are proved: the one that captures, and one of other inputs. */
const FIRST_PROOFS = 2;
/** Most rows whose logits a proof compares, so that it is short. */
const PROVED_ROWS = 4;
/** ONNX Runtime holds what it captured until the session ends. */
const MOST_CAPTURES = 64;
/** Largest distance of a replayed row's logits from a plain one's, in units of their spread: the kernels are the same. */
const MOST_ERROR = 0.02;

/** Run options that keep a session which may capture from doing so. */
export function plainRunOptions(environment: OrtEnvironment): OrtRunOptions {
  return OrtRunOptions.create(environment, { [GRAPH_ID]: String(NO_GRAPH) });
}

type Window = Pick<RowWindow, "bind" | "run" | "logitsOf">;

/** One batch size, for as long as the cache stays where it is. */
interface Batch<W> {
  readonly rows: number;
  wanted: number;
  replays: number;
  window: W | undefined;
}

/** A decode step as it is to be replayed. */
export interface DecodeStep<W> {
  /** Sequences, in the cache's first rows. */
  readonly count: number;
  readonly windows: {
    /** For plain runs of `count` rows from row `first` on. */
    plain(first: number, count: number): W;
    /** For runs of the first rows with these options, which stay the caller's. */
    captured(count: number, runOptions: OrtRunOptions): W;
  };
  /** Feeds a row that none of them is in. */
  readonly feedSpare: (row: number) => void;
}

/**
 * Decode steps without the launches of their kernels: ONNX Runtime captures what a run does to the device as a CUDA
 * graph, and does the same again when a run has the same id. A replay reads and writes where the captured run did, and
 * what that run read on the CPU stays as it was, so each batch size is captured for itself, and again where the cache
 * moved. Spare rows fill a batch up; each writes where its row is not read, so nothing has to be free. Its first replay
 * of a batch size is compared with a plain step, and its second, fourth, eighth.
 */
export class StepReplay<W extends Window = RowWindow> {
  /** Steps of one batch size until they are replayed alone. */
  readonly stepsBefore = CAPTURE_AFTER + FIRST_PROOFS;
  readonly #environment: OrtEnvironment;
  readonly #cache: Pick<SlotCache, "rows" | "tokens" | "lengthInRow">;
  readonly #batches = new Map<number, Batch<W>>();
  readonly #runOptions: OrtRunOptions[] = [];
  #on = true;
  #captures = 0;
  /** Why nothing is replayed any more. */
  #failure: string | undefined;

  constructor(environment: OrtEnvironment, cache: Pick<SlotCache, "rows" | "tokens" | "lengthInRow">) {
    this.#environment = environment;
    this.#cache = cache;
  }

  /** Whether steps are replayed, and why not. */
  get choice(): ReplayChoice {
    if (this.#failure !== undefined) return { on: false, reason: this.#failure };
    return { on: this.#on, reason: this.#on ? "Decode steps are replayed as CUDA graphs." : "It is turned off." };
  }

  /** From the next step on. */
  use(on: boolean): void {
    this.#on = on;
  }

  /** For good. `reason` is a sentence. */
  stop(reason: string): void {
    this.#failure ??= reason;
  }

  /** The window whose run took the step; undefined where it is to be taken plainly, whatever was tried here. */
  take(step: DecodeStep<W>): W | undefined {
    if (!this.#on || this.#failure !== undefined) return undefined;
    const batch = this.#batchOf(batchFor(step.count, this.#cache.rows));
    if (++batch.wanted <= CAPTURE_AFTER || this.#hasFullRow(step.count, batch.rows)) return undefined;
    try {
      const window = batch.window ?? this.#open(batch, step.windows);
      if (window === undefined) return undefined;
      for (let row = step.count; row < batch.rows; row++) step.feedSpare(row);
      window.bind(1);
      window.run();
      return isPowerOfTwo(++batch.replays) ? this.#proved(batch, window, step) : window;
    } catch (error) {
      this.#giveUp(batch, error);
      return undefined;
    }
  }

  /** The cache moves, or what is bound to it. */
  forget(): void {
    this.#batches.clear();
    for (const options of this.#runOptions.splice(0)) options.dispose();
  }

  #batchOf(rows: number): Batch<W> {
    const batch = this.#batches.get(rows) ?? { rows, wanted: 0, replays: 0, window: undefined };
    this.#batches.set(rows, batch);
    return batch;
  }

  /** A capture that was cut short is kept under its id and would be replayed, so the id is not used again. */
  #giveUp(batch: Batch<W>, error: unknown): void {
    if (error instanceof NativeError && error.code === "out_of_memory") batch.wanted = Number.NEGATIVE_INFINITY;
    else this.stop(`A replayed step failed: ${withoutPlace(reasonOf(error))}`);
  }

  /** A spare row's token goes to the end of what its row holds, and there has to be such a place. */
  #hasFullRow(from: number, to: number): boolean {
    for (let row = from; row < to; row++) if (this.#cache.lengthInRow(row) >= this.#cache.tokens) return true;
    return false;
  }

  #open(batch: Batch<W>, windows: DecodeStep<W>["windows"]): W | undefined {
    if (this.#captures === MOST_CAPTURES) return undefined;
    const options = OrtRunOptions.create(this.#environment, { [GRAPH_ID]: String(++this.#captures) });
    this.#runOptions.push(options);
    batch.window = windows.captured(batch.rows, options);
    return batch.window;
  }

  /**
   * Takes the step plainly, too: twice is as once, since a step writes what it has written. Plainly after the replay,
   * whose logits, had it done nothing, would be those of the step before. Gives the plain run's window.
   */
  #proved({ rows }: Batch<W>, window: W, { count, windows }: DecodeStep<W>): W {
    const length = Math.min(count, PROVED_ROWS);
    const proved = Array.from({ length }, (_, at) => Math.floor((at * count) / length));
    const replayed = new Map(proved.map((row) => [row, window.logitsOf(row).slice()]));
    const plain = windows.plain(0, rows);
    plain.bind(1);
    plain.run();
    for (const [row, logits] of replayed) {
      const expected = plain.logitsOf(row);
      const error = distance(logits, expected) / spread(expected);
      if (!(error <= MOST_ERROR)) throw new Error(`its logits are ${error.toPrecision(2)} of their spread off`);
    }
    return plain;
  }
}

const isPowerOfTwo = (count: number): boolean => (count & (count - 1)) === 0;

/** ONNX Runtime tells an error of CUDA's with the place in its source, and with the machine's name. */
const withoutPlace = (reason: string): string => /CUDA failure \d+: [^;]+/.exec(reason)?.[0].trim() ?? reason;
