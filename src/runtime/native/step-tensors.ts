import { type OrtMemory, OrtTensor } from "../../../native/ort.js";
import type { FloatType, GraphSignature, IdType } from "../graph-signature.js";

/** Most tokens of a prompt in one run: more is no faster per token, and the memory of logits and attention grows with it. */
const MOST_PROMPT_TOKENS = 256;
/** Most bytes of logits in one run of a graph that computes them for every position. */
const MOST_LOGITS_BYTES = 128 << 20;

export interface StepShape {
  /** Rows and tokens of the cache. */
  readonly rows: number;
  readonly tokens: number;
  /** The graph gives logits for the last position only. */
  readonly lastLogits: boolean;
}

/** Where tensors live. */
export interface StepMemory {
  /** Written by this process. */
  readonly inputs: OrtMemory;
  readonly logits: OrtMemory;
}

/**
 * The small tensors that go into runs and come out of them. They are written in place and bound as views, so that a
 * step allocates nothing. Mask and decode logits have a row for each row of the cache.
 */
export class StepTensors {
  /** New ids, and their positions where the graph wants them: the tokens of a prompt, or one a row. */
  readonly ids: OrtTensor<IdType>;
  readonly positions: OrtTensor<IdType> | undefined;
  readonly rotaryPositions: OrtTensor<IdType> | undefined;
  /** `[rows, tokens]`: ones over what a row holds and is fed, where the graph counts them. */
  readonly mask: OrtTensor<IdType> | undefined;
  /** `[rows]`: the same less one, where the graph takes it, and `[1]` the tokens that a row has room for. */
  readonly lengths: OrtTensor<"int32"> | undefined;
  readonly totalLength: OrtTensor<"int32"> | undefined;
  /** `[rows, vocabSize]`: after each row's last token. */
  readonly logits: OrtTensor<FloatType>;
  /** The graph's `num_logits_to_keep`. */
  readonly logitsToKeep: OrtTensor<IdType> | undefined;
  /** The graph gives logits for the last position only. */
  readonly lastLogits: boolean;
  readonly #promptTokens: number;
  readonly #memory: StepMemory;
  readonly #vocabSize: number;
  readonly #tokens: number;
  readonly #maskSums: Int32Array;
  #promptLogits: OrtTensor<FloatType> | undefined;

  constructor(memory: StepMemory, signature: GraphSignature, { rows, tokens, lastLogits }: StepShape) {
    const { inputIds, positionIds, rotaryPositions, attentionMask, lengths, logitsToKeep, logits, vocabSize } =
      signature;
    this.lastLogits = lastLogits;
    const logitsBytes = vocabSize * (logits.type === "float16" ? 2 : 4);
    const affordable = this.lastLogits ? MOST_PROMPT_TOKENS : Math.max(1, Math.floor(MOST_LOGITS_BYTES / logitsBytes));
    this.#promptTokens = Math.min(MOST_PROMPT_TOKENS, affordable);
    this.#memory = memory;
    this.#vocabSize = vocabSize;
    this.#tokens = tokens;
    this.#maskSums = new Int32Array(rows);
    const fed = Math.max(rows, this.#promptTokens);
    this.ids = OrtTensor.allocate(memory.inputs, inputIds.type, [fed]);
    this.positions = positionIds && OrtTensor.allocate(memory.inputs, positionIds.type, [fed]);
    this.rotaryPositions = rotaryPositions && OrtTensor.allocate(memory.inputs, rotaryPositions.type, [fed]);
    this.mask = attentionMask && OrtTensor.allocate(memory.inputs, attentionMask.type, [rows * tokens]);
    if (this.mask) fill(this.mask, 0, 0, rows * tokens);
    this.lengths = lengths && OrtTensor.allocate(memory.inputs, "int32", [rows]);
    this.totalLength = lengths && OrtTensor.allocate(memory.inputs, "int32", [1]);
    this.lengths?.data.fill(0);
    this.totalLength?.data.fill(tokens);
    this.logits = OrtTensor.allocate(memory.logits, logits.type, [rows * vocabSize]);
    this.logitsToKeep =
      logitsToKeep && OrtTensor.allocate(memory.inputs, logitsToKeep.type, new Array(logitsToKeep.rank).fill(1));
    this.keepLogits(1);
  }

  /**
   * The token that a run is fed in place `index`, `position` tokens into its sequence; its rotary factors stand `shift`
   * rows further down.
   */
  feed(index: number, token: number, position: number, shift: number): void {
    fill(this.ids, token, index, index + 1);
    if (this.positions) fill(this.positions, position, index, index + 1);
    if (this.rotaryPositions) fill(this.rotaryPositions, position + shift, index, index + 1);
  }

  /** Most tokens of a prompt in one run that is to give this many logits. */
  mostTokens(logits: number): number {
    const oneAtOnce = this.lastLogits && this.logitsToKeep === undefined;
    return oneAtOnce && logits > 1 ? 1 : this.#promptTokens;
  }

  /** The graph is to give logits after this many last positions, where it can be told. */
  keepLogits(count: number): void {
    if (this.logitsToKeep) fill(this.logitsToKeep, count, 0, 1);
  }

  /** Tells the graph how many tokens a row holds and is fed. */
  setLength(row: number, length: number): void {
    if (this.lengths) this.lengths.data[row] = length - 1;
    if (this.mask) this.#setMaskSum(this.mask, row, length);
  }

  #setMaskSum(mask: OrtTensor<IdType>, row: number, sum: number): void {
    const old = this.#maskSums[row] as number;
    const start = row * this.#tokens;
    if (sum > old) fill(mask, 1, start + old, start + sum);
    else fill(mask, 0, start + sum, start + old);
    this.#maskSums[row] = sum;
  }

  /** Memory for the logits of every position of a prompt: `[1, positions, vocabSize]`. */
  promptLogits(positions: number): OrtTensor<FloatType> {
    const size = positions * this.#vocabSize;
    if (this.#promptLogits === undefined || this.#promptLogits.size < size) {
      this.#promptLogits?.dispose();
      this.#promptLogits = undefined;
      this.#promptLogits = OrtTensor.allocate(this.#memory.logits, this.logits.type, [size]);
    }
    return this.#promptLogits.view(0, [1, positions, this.#vocabSize]);
  }

  dispose(): void {
    for (const tensor of [
      this.ids,
      this.positions,
      this.rotaryPositions,
      this.mask,
      this.lengths,
      this.totalLength,
      this.logits,
      this.logitsToKeep,
      this.#promptLogits,
    ]) {
      tensor?.dispose();
    }
  }
}

function fill({ data }: OrtTensor<IdType>, value: number, start: number, end: number): void {
  if (data instanceof BigInt64Array) data.fill(BigInt(value), start, end);
  else data.fill(value, start, end);
}
