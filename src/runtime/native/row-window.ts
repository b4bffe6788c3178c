import { OrtBinding, type OrtRunOptions, type OrtSession, type OrtTensor } from "../../../native/ort.js";
import type { TopLogits } from "../../engine/runner.js";
import type { FloatType, GraphSignature } from "../signature/graph-signature.js";
import type { LogitsMemory } from "./logits-memory.js";
import type { SlotCache } from "./slot-cache.js";
import type { InputCopy, InputDevice, StepInput } from "./step-input.js";
import type { RowSpan, StepTensors } from "./step-tensors.js";

export interface WindowParts {
  readonly session: OrtSession;
  readonly signature: GraphSignature;
  readonly cache: SlotCache;
  readonly step: StepTensors;
  readonly logits: LogitsMemory;
  /** Where runs read their inputs, if it is not where they are written. */
  readonly inputs: InputDevice | undefined;
}

/**
 * Neighbouring rows of the cache as one batch: a binding in which past and present are the same memory, so that
 * GroupQueryAttention updates it in place. Everything is bound once for each number of new tokens.
 */
export class RowWindow {
  readonly #parts: WindowParts;
  readonly #first: number;
  readonly #count: number;
  readonly #runOptions: OrtRunOptions;
  readonly #binding: OrtBinding;
  /** Of what is fed, by the input's name: what goes to the device. */
  readonly #copies = new Map<string, InputCopy>();
  /** New tokens a row, and logits of so many of them, as bound. */
  #fed = 0;
  #kept = 0;
  #logits: OrtTensor<FloatType> | undefined;

  /** `runOptions` stay the caller's. */
  constructor(parts: WindowParts, { first, count }: RowSpan, runOptions: OrtRunOptions) {
    this.#parts = parts;
    this.#first = first;
    this.#count = count;
    this.#runOptions = runOptions;
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
    this.#send();
    this.#binding.run(this.#runOptions);
  }

  runAsync(): Promise<void> {
    this.#send();
    return this.#binding.runAsync(this.#runOptions);
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
    this.#logits?.dispose();
  }

  #send(): void {
    if (this.#copies.size > 0) this.#parts.inputs?.send(this.#copies.values());
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
      this.#feed(lengths.total, step.totalLength, 0, [1]);
    }
    if (attentionMask && step.mask) {
      this.#feed(attentionMask.name, step.mask, this.#first * cache.tokens, [this.#count, cache.tokens]);
    }
    if (logitsToKeep && step.logitsToKeep) {
      this.#feed(logitsToKeep.name, step.logitsToKeep, 0, new Array<number>(logitsToKeep.rank).fill(1));
    }
  }

  #feed(name: string, input: StepInput, from: number, shape: readonly number[]): void {
    const view = input.view(from, shape);
    this.#binding.bindInput(name, view);
    const copy = input.copy(from, view.size);
    if (copy !== undefined) this.#copies.set(name, copy);
    view.dispose();
  }

  #bindLogits(positions: number): void {
    const { signature, step } = this.#parts;
    const span = { first: this.#first, count: this.#count };
    const next = positions > 1 ? step.promptLogits(positions) : step.logitsFor(span);
    this.#binding.bindOutput(signature.logits.name, next);
    this.#logits?.dispose();
    this.#logits = next;
  }
}
