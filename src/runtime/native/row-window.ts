import { OrtBinding, type OrtRunOptions, type OrtSession, type OrtTensor } from "../../../native/ort.js";
import type { TopLogits } from "../../engine/runner.js";
import type { FloatType, GraphSignature } from "../graph-signature.js";
import type { LogitsMemory } from "./logits-memory.js";
import type { SlotCache } from "./slot-cache.js";
import type { StepTensors } from "./step-tensors.js";

export interface WindowParts {
  readonly session: OrtSession;
  readonly signature: GraphSignature;
  readonly cache: SlotCache;
  readonly step: StepTensors;
  readonly logits: LogitsMemory;
  readonly runOptions: OrtRunOptions;
}

/**
 * Neighbouring rows of the cache as one batch: a binding in which past and present are the same memory, so that
 * GroupQueryAttention updates it in place. The cache is bound once; what is fed is bound for every run.
 */
export class RowWindow {
  readonly #parts: WindowParts;
  readonly #first: number;
  readonly #count: number;
  readonly #binding: OrtBinding;
  /** Views of what this process writes. */
  readonly #fedInputs = new Map<string, OrtTensor>();
  /** New tokens a row, and logits of so many of them, as bound. */
  #fed = 0;
  #kept = 0;
  #logits: OrtTensor<FloatType> | undefined;

  constructor(parts: WindowParts, first: number, count: number) {
    this.#parts = parts;
    this.#first = first;
    this.#count = count;
    this.#binding = OrtBinding.create(parts.session);
    this.#bindCache();
  }

  /** Binds inputs for `fed` new tokens a row and logits after the last `kept`; more than one need a window of one row. */
  bind(fed: number, kept = 1): void {
    const { signature, step } = this.#parts;
    step.keepLogits(kept);
    if (fed === this.#fed && kept === this.#kept) return;
    // There may be no memory for some of it: then nothing is bound.
    this.#fed = 0;
    this.#feed(signature.inputIds.name, step.ids, 0, [this.#count, fed]);
    if (signature.positionIds && step.positions) {
      this.#feed(signature.positionIds.name, step.positions, 0, [this.#count, fed]);
    }
    if (signature.rotaryPositions && step.rotaryPositions) {
      this.#feed(signature.rotaryPositions.name, step.rotaryPositions, 0, [this.#count, fed]);
    }
    this.#bindLogits(step.lastLogits ? kept : fed);
    this.#fed = fed;
    this.#kept = kept;
  }

  run(): void {
    this.#bindFed();
    this.#binding.run(this.#parts.runOptions);
  }

  runAsync(): Promise<void> {
    this.#bindFed();
    return this.#binding.runAsync(this.#parts.runOptions);
  }

  /** Logits after the last tokens of a row of the cache, as many as `bind` was told; valid until the next run of any window. */
  logitsOf(row: number): Float32Array {
    const { logits, signature } = this.#parts;
    const { vocabSize } = signature;
    const bound = this.#logits as OrtTensor<FloatType>;
    const end = (row - this.#first + 1) * (bound.shape[1] as number) * vocabSize;
    return logits.read(bound, end - this.#kept * vocabSize, this.#kept * vocabSize);
  }

  /** The likeliest tokens after each row, where they are chosen on a device; after a run of one token a row. */
  top(): readonly TopLogits[] | undefined {
    const { logits, step } = this.#parts;
    return logits.top?.(step.logits, this.#first, this.#count);
  }

  dispose(): void {
    this.#binding.dispose();
    for (const view of this.#fedInputs.values()) view.dispose();
    this.#fedInputs.clear();
    this.#logits?.dispose();
  }

  /** ONNX Runtime takes inputs to a device when they are bound, not when they are read: a run would see what was there before. */
  #bindFed(): void {
    for (const [name, view] of this.#fedInputs) this.#binding.bindInput(name, view);
  }

  #bindCache(): void {
    const { signature, cache, step } = this.#parts;
    for (const [index, { past, present, heads, headDim }] of signature.cache.entries()) {
      const tensor = cache.tensors[index] as OrtTensor<FloatType>;
      const rowSize = heads * cache.tokens * headDim;
      const view = tensor.view(this.#first * rowSize, [this.#count, heads, cache.tokens, headDim]);
      this.#binding.bindInput(past, view);
      this.#binding.bindOutput(present, view);
      view.dispose();
    }
    const { attentionMask, lengths, logitsToKeep } = signature;
    if (lengths && step.lengths && step.totalLength) {
      this.#feed(lengths.rows, step.lengths, this.#first, [this.#count]);
      this.#feed(lengths.total, step.totalLength, 0, step.totalLength.shape);
    }
    if (attentionMask && step.mask) {
      this.#feed(attentionMask.name, step.mask, this.#first * cache.tokens, [this.#count, cache.tokens]);
    }
    if (logitsToKeep && step.logitsToKeep) this.#feed(logitsToKeep.name, step.logitsToKeep, 0, step.logitsToKeep.shape);
  }

  #feed(name: string, tensor: OrtTensor, offset: number, shape: readonly number[]): void {
    this.#fedInputs.get(name)?.dispose();
    this.#fedInputs.set(name, tensor.view(offset, shape));
  }

  #bindLogits(positions: number): void {
    const { signature, step } = this.#parts;
    const { vocabSize } = signature;
    const next =
      positions > 1
        ? step.promptLogits(positions)
        : step.logits.view(this.#first * vocabSize, [this.#count, 1, vocabSize]);
    this.#binding.bindOutput(signature.logits.name, next);
    this.#logits?.dispose();
    this.#logits = next;
  }
}
