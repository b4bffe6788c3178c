import type { DeviceChoice, ModelDescription } from "../protocol.js";

/** One sequence's share of a step. */
export interface RunnerRow {
  /** The KV slot that holds this sequence's past, 0 to maxSequences - 1. */
  readonly slot: number;
  /** Token ids to feed: a prompt (or a chunk of it), or the last sampled token. At least one. */
  readonly tokens: Int32Array;
  /** Tokens of this sequence already in the slot; 0 starts it afresh, whatever the slot held. */
  readonly past: number;
  /** Logits wanted: those after each of this many last tokens; 1 when absent, 0 for a chunk of a prompt that goes on. */
  readonly logits?: number;
}

/**
 * All tensors live behind this interface; the engine above it deals in integers only.
 * The engine never calls `run` while another `run` is unfinished.
 */
export interface ModelRunner {
  readonly model: ModelDescription;
  readonly device: DeviceChoice;
  /** A row may go back: `past` below what its slot holds drops the rest. Otherwise it can only go on. */
  readonly rewinds: boolean;
  /**
   * Feeds every row's tokens and returns the logits that each row asked for: one `Float32Array` of `logits` times
   * `vocabSize` a row, in row order, which the caller owns only until the next `run`.
   * Throws VitrineError `inference_failed`; then none of the rows may be assumed to have advanced.
   */
  run(rows: readonly RunnerRow[]): Promise<readonly Float32Array[]>;
  /**
   * Makes room for `rows` slots in use with `tokens` tokens each; what slots hold stays. Throws VitrineError
   * `inference_failed` when there is no memory for it, and nothing has changed then.
   */
  reserve(rows: number, tokens: number): void;
  /** Slot `to` starts as the first `tokens` tokens of slot `from`. Only where `rewinds`. */
  copy(from: number, to: number, tokens: number): void;
  /** Forgets what the slot holds. */
  release(slot: number): void;
  /** Frees everything; the runner is unusable afterwards. */
  dispose(): Promise<void>;
}
