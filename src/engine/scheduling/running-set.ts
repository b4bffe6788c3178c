import type { Sequence } from "./sequence.js";
import type { DecodeLoad } from "./step-planner.js";

/** The sequences that hold a slot, in the order in which they got it. */
export class RunningSet {
  readonly prefilling: Sequence[] = [];
  readonly decoding: Sequence[] = [];

  get size(): number {
    return this.prefilling.length + this.decoding.length;
  }

  /** The streams that decode now. */
  get load(): DecodeLoad {
    return loadOf(this.decoding);
  }

  /** Those that will once everybody's prompt is cached. */
  get comingLoad(): DecodeLoad {
    return loadOf([...this]);
  }

  add(sequence: Sequence): void {
    this.prefilling.push(sequence);
  }

  /** Its prefill is done. */
  promote(sequence: Sequence): void {
    this.delete(sequence);
    this.decoding.push(sequence);
  }

  delete(sequence: Sequence): void {
    for (const list of [this.prefilling, this.decoding]) {
      const index = list.indexOf(sequence);
      if (index >= 0) list.splice(index, 1);
    }
  }

  /** The one to make way first: of the lowest priority the last to have arrived. */
  youngest(): Sequence | undefined {
    let found: Sequence | undefined;
    for (const sequence of this) if (found === undefined || yields(sequence, found)) found = sequence;
    return found;
  }

  *[Symbol.iterator](): Generator<Sequence, void> {
    yield* this.prefilling;
    yield* this.decoding;
  }
}

function loadOf(sequences: readonly Sequence[]): DecodeLoad {
  return { rows: sequences.length, context: sequences.reduce((sum, { tokens }) => sum + tokens.length, 0) };
}

function yields(a: Sequence, b: Sequence): boolean {
  const [first, second] = [a.request.priority, b.request.priority];
  return first === second ? a.arrival > b.arrival : first < second;
}
