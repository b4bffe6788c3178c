import type { LoadPhase, LoadPhaseName, Micros } from "../protocol.js";

/** The phases of a start that did not get to its end: each lasts until the next begins, the last until it failed. */
export class PhaseRecorder {
  readonly #phases: LoadPhase[] = [];
  #open: { readonly name: LoadPhaseName; readonly start: Micros } | undefined;

  begin(name: LoadPhaseName, at: Micros): void {
    this.#close(at);
    this.#open = { name, start: at };
  }

  end(at: Micros): readonly LoadPhase[] {
    this.#close(at);
    return this.#phases;
  }

  #close(at: Micros): void {
    if (this.#open !== undefined) this.#phases.push({ ...this.#open, end: at });
    this.#open = undefined;
  }
}
