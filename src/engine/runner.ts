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
  /** The likeliest `TOP_LOGITS` will probably do, of the one position that is wanted. */
  readonly top?: boolean;
}

/** Most positions of a row whose logits are wanted at once: those of 64 take 40 MB. */
export const MOST_SCORED = 64;

/** How many of the likeliest tokens a runner offers: more than what most requests' top_k keeps. */
export const TOP_LOGITS = 64;

/** The likeliest tokens after a row's last one. */
export interface TopLogits {
  /** The likeliest first, equals in any order; what is as likely as the last of them may be left out. */
  readonly ids: Int32Array;
  /** In the same order. */
  readonly logits: Float32Array;
}

/** What a run says of one row. The engine owns it, and what it gives, only until the next `run`. */
export interface RowLogits {
  /**
   * All that the row asked for, `logits` times `vocabSize`. They may lie on a device, and be fetched from it now: throws
   * VitrineError `inference_failed`.
   */
  all(): Float32Array;
  /** Where the row was content with them, and all of them are not at hand. */
  readonly top?: TopLogits;
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
   * Feeds every row's tokens and returns what came of each, in row order.
   * Throws VitrineError `inference_failed`, or `out_of_memory`; then what the rows' slots hold is unknown. Here and below
   * `engine_lost` says that nothing of the runner works any more in this process.
   */
  run(rows: readonly RunnerRow[]): Promise<readonly RowLogits[]>;
  /**
   * Makes room for `rows` slots in use with `tokens` tokens each; what slots hold stays, as far as it fits: a slot that
   * went back holds more than anybody counts. Throws VitrineError
   * `out_of_memory` when there is none, and nothing has changed then.
   */
  reserve(rows: number, tokens: number): void;
  /** Slot `to` starts as the first `tokens` tokens of slot `from`. Only where `rewinds`. Throws as `reserve` does. */
  copy(from: number, to: number, tokens: number): void;
  /** Forgets what the slot holds. */
  release(slot: number): void;
  /** Frees everything; the runner is unusable afterwards. */
  dispose(): Promise<void>;
}
