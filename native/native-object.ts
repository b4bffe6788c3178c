import { NativeError } from "./native-error.js";
import type { Pointer } from "./ort-api.js";

/** Reads an object's address. For `native/` alone: what leaves this folder are classes. */
export const POINTER: unique symbol = Symbol("pointer");
/** Keeps the native object alive while another one uses it. */
export const RETAIN: unique symbol = Symbol("retain");
/** Ends one use; the last one frees the native object. */
export const RELEASE: unique symbol = Symbol("release");

/** What others can keep alive. */
export interface Retainable {
  [RETAIN](): void;
  [RELEASE](): void;
}

/**
 * One native object and its lifetime. `dispose` ends the owner's use at once, from then on every method throws; the
 * memory is freed when nothing native uses it any more (a binding its tensors, a run its session), so no order of
 * `dispose` calls can leave a dangling pointer.
 */
export abstract class NativeObject<Kind extends string> implements Retainable {
  readonly #noun: string;
  readonly #pointer: Pointer<Kind>;
  readonly #free: (pointer: Pointer<Kind>) => void;
  readonly #uses: readonly Retainable[];
  #users = 1;
  #disposed = false;

  /** `uses` are what the native object needs for as long as it lives. */
  protected constructor(
    noun: string,
    pointer: Pointer<Kind>,
    free: (pointer: Pointer<Kind>) => void,
    uses: readonly Retainable[] = [],
  ) {
    this.#noun = noun;
    this.#pointer = pointer;
    this.#free = free;
    this.#uses = uses;
    for (const used of uses) used[RETAIN]();
  }

  get disposed(): boolean {
    return this.#disposed;
  }

  /** Frees it, at the latest when nothing native uses it any more. A second call does nothing. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this[RELEASE]();
  }

  [POINTER](): Pointer<Kind> {
    if (this.#disposed) throw new NativeError("disposed", `This ${this.#noun} was disposed.`);
    return this.#pointer;
  }

  [RETAIN](): void {
    if (this.#users === 0) throw new NativeError("disposed", `This ${this.#noun} was disposed.`);
    this.#users++;
  }

  [RELEASE](): void {
    if (--this.#users > 0) return;
    this.#free(this.#pointer);
    for (const used of this.#uses) used[RELEASE]();
  }
}
