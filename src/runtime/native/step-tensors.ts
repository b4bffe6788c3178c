import { type OrtMemory, OrtTensor } from "../../../native/ort.js";
import { FLOAT_BYTES } from "../floats/floats.js";
import type { FloatType, GraphSignature, IdType } from "../signature/graph-signature.js";
import { type InputMemory, StepInput } from "./step-input.js";

/** Most tokens of a prompt in one run: more is no faster per token, and the memory of logits and attention grows with it. */
const MOST_PROMPT_TOKENS = 256;
/** Kernels store 16 bytes at once: logits begin at a multiple of so many elements. */
const ALIGNED_ELEMENTS = 8;
/** Most bytes of logits in one run of a graph that computes them for every position. */
const MOST_LOGITS_BYTES = 128 << 20;

/** Neighbouring rows of the cache. */
export interface RowSpan {
  readonly first: number;
  readonly count: number;
}

export interface StepShape {
  /** Rows and tokens of the cache. */
  readonly rows: number;
  readonly tokens: number;
  /** The graph gives logits for the last position only. */
  readonly lastLogits: boolean;
}

/** Where tensors live. */
export interface StepMemory {
  /** By the input's name. */
  readonly input: (name: string) => InputMemory;
  readonly logits: OrtMemory;
}

/**
 * The small tensors that go into runs and come out of them. They are written in place and bound as views, so that a
 * step allocates nothing. Mask and decode logits have a row for each row of the cache.
 */
export class StepTensors {
  /** New ids, and their positions where the graph wants them: the tokens of a prompt, or one a row. */
  readonly ids: StepInput<IdType>;
  readonly positions: StepInput<IdType> | undefined;
  readonly rotaryPositions: StepInput<IdType> | undefined;
  /** `[rows, tokens]`: ones over what a row holds and is fed, where the graph counts them. */
  readonly mask: StepInput<IdType> | undefined;
  /** `[rows]`: the same less one, where the graph takes it, and `[1]` at least what the longest row of the run has. */
  readonly lengths: StepInput<"int32"> | undefined;
  readonly totalLength: StepInput<"int32"> | undefined;
  /** What tells the graph how many last logits are wanted, of one element. */
  readonly logitsToKeep: StepInput<IdType> | undefined;
  /** `[rows, vocabSize]`: after each row's last token; and behind them room for one more row. */
  readonly logits: OrtTensor<FloatType>;
  /** The graph gives logits for the last position only. */
  readonly lastLogits: boolean;
  readonly #promptTokens: number;
  readonly #memory: StepMemory;
  readonly #inputs: StepInput[] = [];
  readonly #keptSign: number;
  readonly #vocabSize: number;
  readonly #tokens: number;
  /** Where that room begins. */
  readonly #aside: number;
  readonly #maskSums: Int32Array;
  #promptLogits: OrtTensor<FloatType> | undefined;

  constructor(memory: StepMemory, signature: GraphSignature, { rows, tokens, lastLogits }: StepShape) {
    const { inputIds, positionIds, rotaryPositions, attentionMask, lengths, logitsToKeep, logits, vocabSize } =
      signature;
    this.lastLogits = lastLogits;
    const logitsBytes = vocabSize * FLOAT_BYTES[logits.type];
    const affordable = this.lastLogits ? MOST_PROMPT_TOKENS : Math.max(1, Math.floor(MOST_LOGITS_BYTES / logitsBytes));
    this.#promptTokens = Math.min(MOST_PROMPT_TOKENS, affordable);
    this.#memory = memory;
    this.#keptSign = logitsToKeep?.sign ?? 1;
    this.#vocabSize = vocabSize;
    this.#tokens = tokens;
    this.#aside = Math.ceil((rows * vocabSize) / ALIGNED_ELEMENTS) * ALIGNED_ELEMENTS;
    this.#maskSums = new Int32Array(rows);
    try {
      const fed = Math.max(rows, this.#promptTokens);
      this.ids = this.#input(inputIds.name, inputIds.type, fed);
      this.positions = positionIds && this.#input(positionIds.name, positionIds.type, fed);
      this.rotaryPositions = rotaryPositions && this.#input(rotaryPositions.name, rotaryPositions.type, fed);
      this.mask = attentionMask && this.#input(attentionMask.name, attentionMask.type, rows * tokens);
      if (this.mask) fill(this.mask, 0, 0, rows * tokens);
      this.lengths = lengths && this.#input(lengths.rows, "int32", rows);
      this.totalLength = lengths && this.#input(lengths.total, "int32", 1);
      this.lengths?.data.fill(0);
      this.setTotal(tokens);
      this.logitsToKeep = logitsToKeep && this.#input(logitsToKeep.name, logitsToKeep.type, 1);
      this.keepLogits(1);
      this.logits = OrtTensor.allocate(memory.logits, logits.type, [this.#aside + vocabSize]);
    } catch (error) {
      for (const input of this.#inputs) input.dispose();
      throw error;
    }
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
    if (this.logitsToKeep) fill(this.logitsToKeep, count * this.#keptSign, 0, 1);
  }

  /** Tells the graph how many tokens a row holds and is fed. */
  setLength(row: number, length: number): void {
    if (this.lengths) this.lengths.data[row] = length - 1;
    if (this.mask) this.#setMaskSum(this.mask, row, length);
  }

  /** Tells the graph that no row of the run has more. */
  setTotal(length: number): void {
    if (this.totalLength) this.totalLength.data[0] = length;
  }

  #setMaskSum(mask: StepInput<IdType>, row: number, sum: number): void {
    const old = this.#maskSums[row] as number;
    const start = row * this.#tokens;
    if (sum > old) fill(mask, 1, start + old, start + sum);
    else fill(mask, 0, start + sum, start + old);
    this.#maskSums[row] = sum;
  }

  /**
   * Where a run of the first rows, or of one row, leaves its logits: `[count, 1, vocabSize]`. A row that is not the first
   * has no place among the others: with an odd vocabulary that would begin between two addresses that kernels can store to.
   */
  logitsFor({ first, count }: RowSpan): OrtTensor<FloatType> {
    return this.logits.view(first === 0 ? 0 : this.#aside, [count, 1, this.#vocabSize]);
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
    for (const tensor of [...this.#inputs, this.logits, this.#promptLogits]) tensor?.dispose();
  }

  #input<T extends IdType | "int32">(name: string, type: T, size: number): StepInput<T> {
    const input = new StepInput(this.#memory.input(name), type, size);
    this.#inputs.push(input);
    return input;
  }
}

function fill({ data }: StepInput<IdType>, value: number, start: number, end: number): void {
  if (data instanceof BigInt64Array) data.fill(BigInt(value), start, end);
  else data.fill(value, start, end);
}
