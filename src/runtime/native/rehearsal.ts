import type { ModelRunner, RunnerRow } from "../../engine/runner.js";
import { VitrineError } from "../../errors.js";
import { candidatesError, distance, type Expected, expect, isSound, spread } from "./logit-distance.js";
import { hasPassed, type RehearsalCheck, type RehearsalCheckName } from "./rehearsal-check.js";
import { type RehearsalSequences, rehearsalSequences } from "./rehearsal-sequences.js";

/** Another way to take decode steps that has to give what plain runs give, such as replaying a captured graph. */
export interface OtherWay {
  /** Steps of one shape until what was captured is replayed. */
  readonly stepsBefore: number;
  /** From the next step on. */
  use(on: boolean): void;
  /** For good. `reason` is a sentence. */
  stop(reason: string): void;
}

/** A runner that rehearses, with its other way where it has one. */
export type RehearsingRunner = ModelRunner & { readonly replay?: OtherWay | undefined };

/** Above what rounding makes, and below what one wrong token in the cache makes: RATIONALE.md has the numbers. */
const MOST_ERROR = 0.25;
/** Two texts of different tokens are at least so far apart, in spreads, and in what the same text is from itself. */
const LEAST_SPREADS = 0.001;
const LEAST_REPEATS = 4;
/** Tokens that a row of the cache holds at first: the sequences, and little more. */
const ROOM = 16;
/** A prompt that is one run, and long enough for what attention does in parts. */
const LONG_PROMPT = 256;

/**
 * Plays a few short sequences in every way that the native runner has, and compares the logits with those of each sequence
 * in one run, which no other run can have touched. Leaves all slots free and the other way off. The first check that
 * cannot be played is the last.
 */
export async function rehearse(runner: RehearsingRunner, maxSequences: number): Promise<readonly RehearsalCheck[]> {
  const rehearsal = new Rehearsal(runner, maxSequences);
  runner.replay?.use(false);
  try {
    return await rehearsal.play();
  } finally {
    for (const slot of rehearsal.slots) runner.release(slot);
  }
}

class Rehearsal {
  readonly slots: readonly number[];
  readonly #runner: RehearsingRunner;
  readonly #sequences: RehearsalSequences;
  readonly #checks: RehearsalCheck[] = [];
  /** After each sequence, as one run gave them. */
  #right: readonly Expected[] = [];

  constructor(runner: RehearsingRunner, maxSequences: number) {
    const { vocabSize, contextLength } = runner.model;
    this.#runner = runner;
    this.#sequences = rehearsalSequences(vocabSize, Math.min(LONG_PROMPT, contextLength));
    this.slots = Array.from({ length: Math.min(maxSequences, this.#sequences.short.length) }, (_, slot) => slot);
  }

  async play(): Promise<readonly RehearsalCheck[]> {
    const plays: [RehearsalCheckName, () => Promise<number | undefined>][] = [
      ["inputs", () => this.#inputs()],
      ["chunks", () => this.#pieces(1, 4)],
      ["tokens", () => this.#pieces(0, 1)],
      ["batch", () => this.#batch()],
      ["moves", () => this.#moves()],
      ["growth", () => this.#growth()],
      ["candidates", () => this.#candidates()],
      ["replay", () => this.#replayed()],
      ["copy", () => this.#copied()],
      ["long", () => this.#longPrompt()],
    ];
    for (const [name, play] of plays) {
      const played = await this.#check(name, play);
      // Without a measure nothing can be compared.
      if (!played || (name === "inputs" && !this.#checks.every(hasPassed))) break;
    }
    return this.#checks;
  }

  /** False where it could not be played; undefined of a play says that there is nothing to check. */
  async #check(name: RehearsalCheckName, play: () => Promise<number | undefined>): Promise<boolean> {
    const most = name === "candidates" ? 0 : MOST_ERROR;
    try {
      const error = await play();
      if (error !== undefined) this.#checks.push({ name, error, most });
      return true;
    } catch (thrown) {
      this.#checks.push({ name, error: Number.NaN, most, failure: VitrineError.from(thrown).message });
      return false;
    }
  }

  /** Of prompts one after the other in one place: at last one as long as the one before, and that one again. */
  async #inputs(): Promise<number> {
    const { short, other } = this.#sequences;
    const right: Float32Array[] = [];
    this.#reserve(this.slots.length, ROOM);
    for (const tokens of short) right.push(await this.#prompt(tokens));
    const different = await this.#prompt(other);
    if (![...right, different].every(isSound)) return Number.NaN;
    const last = right.at(-1) as Float32Array;
    this.#right = right.map((logits, index) => expect(logits, right.toSpliced(index, 1)));
    const again = await this.#prompt(short.at(-1) as Int32Array);
    const least = Math.max(LEAST_SPREADS * spread(last), LEAST_REPEATS * distance(last, again));
    return distance(last, different) > least ? this.#error(again, this.#right.at(-1)) : Number.POSITIVE_INFINITY;
  }

  /** In pieces of one size. The row holds another sequence, so that none of what is there is right. */
  async #pieces(index: number, size: number): Promise<number> {
    const tokens = this.#sequences.short[index] as Int32Array;
    let past = 0;
    for (; past + size < tokens.length; past += size) {
      await this.#feed({ slot: 0, tokens: tokens.subarray(past, past + size), past, logits: 0 });
    }
    return this.#error(await this.#feed({ slot: 0, tokens: tokens.subarray(past), past }), this.#right[index]);
  }

  /** Sequences of different lengths, the last two tokens of each in steps that they share. */
  async #batch(): Promise<number> {
    for (const slot of this.slots) {
      await this.#feed({ slot, tokens: this.#sequenceOf(slot).subarray(0, -2), past: 0, logits: 0 });
    }
    await this.#runner.run(this.slots.map((slot) => this.#step(slot, 2)));
    return this.#lastStep(this.slots);
  }

  /** Steps without one of the sequences, whose row the others take; then without another one. */
  async #moves(): Promise<number | undefined> {
    if (this.slots.length === 1) return undefined;
    const without = (left: number): number[] => this.slots.filter((slot) => slot !== left).reverse();
    const first = await this.#lastStep(without(0));
    return largest([first, await this.#lastStep(without(1))]);
  }

  async #growth(): Promise<number> {
    this.#reserve(this.slots.length + 1, 2 * ROOM);
    return this.#lastStep(this.slots);
  }

  async #candidates(): Promise<number | undefined> {
    const rows = await this.#runner.run(this.slots.map((slot) => ({ ...this.#step(slot, 1), top: true })));
    const errors = rows.flatMap(({ top, all }) => (top === undefined ? [] : [candidatesError(top, all())]));
    return errors.length === 0 ? undefined : largest(errors);
  }

  /** Two steps in turn, for each number of rows, until they are surely replayed. */
  async #replayed(): Promise<number | undefined> {
    const { replay } = this.#runner;
    if (replay === undefined) return undefined;
    const errors: number[] = [];
    for (const last of this.slots) {
      const slots = this.slots.slice(0, last + 1);
      const step = (back: number) => this.#run(slots.map((slot) => this.#step(slot, back)));
      const plain = [await step(2), await step(1)] as const;
      replay.use(true);
      try {
        for (let count = 0; count < replay.stepsBefore + 4; count++) {
          const turn = count % 2;
          const got = await step(2 - turn);
          const [right, others] = turn === 0 ? plain : [plain[1], plain[0]];
          errors.push(...got.map((logits, row) => this.#error(logits, expect(right[row] ?? logits, others))));
        }
      } finally {
        replay.use(false);
      }
    }
    return largest(errors);
  }

  /** The beginning of the longest sequence goes to where another one is; the rest is fed there. */
  async #copied(): Promise<number | undefined> {
    if (this.slots.length === 1) return undefined;
    const [from, to] = [1, 0];
    const tokens = this.#sequenceOf(from);
    const past = tokens.length - 3;
    this.#runner.release(to);
    this.#runner.copy(from, to, past);
    const rest = await this.#feed({ slot: to, tokens: tokens.subarray(past), past });
    return largest([this.#error(rest, this.#rightOf(from)), await this.#lastStep([from])]);
  }

  async #longPrompt(): Promise<number> {
    const { long } = this.#sequences;
    for (const slot of this.slots) this.#runner.release(slot);
    this.#reserve(1, long.length);
    await this.#feed({ slot: 0, tokens: long.subarray(0, -1), past: 0, logits: 0 });
    const stepped = await this.#feed({ slot: 0, tokens: long.subarray(-1), past: long.length - 1 });
    const right = await this.#prompt(long);
    const others = this.#right.map(({ logits }) => logits);
    return this.#error(stepped, expect(right, others));
  }

  /** The last tokens again, over what is in the cache: going back is a part of it. */
  async #lastStep(slots: readonly number[]): Promise<number> {
    const rows = await this.#run(slots.map((slot) => this.#step(slot, 1)));
    return largest(rows.map((logits, at) => this.#error(logits, this.#rightOf(slots[at] as number))));
  }

  /** One token of a slot's sequence, the last one or one so far before its end. */
  #step(slot: number, back: number): RunnerRow {
    const tokens = this.#sequenceOf(slot);
    const past = tokens.length - back;
    return { slot, tokens: tokens.subarray(past, past + 1), past };
  }

  /** Not the one that the first slot held last. */
  #indexOf(slot: number): number {
    return (slot + 1) % this.#sequences.short.length;
  }

  #sequenceOf(slot: number): Int32Array {
    return this.#sequences.short[this.#indexOf(slot)] as Int32Array;
  }

  #rightOf(slot: number): Expected | undefined {
    return this.#right[this.#indexOf(slot)];
  }

  #error(got: Float32Array, expected: Expected | undefined): number {
    return expected !== undefined && isSound(got) ? distance(got, expected.logits) / expected.contrast : Number.NaN;
  }

  #reserve(rows: number, tokens: number): void {
    this.#runner.reserve(rows, Math.min(this.#runner.model.contextLength, tokens));
  }

  #prompt(tokens: Int32Array): Promise<Float32Array> {
    return this.#feed({ slot: 0, tokens, past: 0 });
  }

  async #feed(row: RunnerRow): Promise<Float32Array> {
    const [logits] = await this.#run([row]);
    return logits as Float32Array;
  }

  /** Copies: what a run gives is good until the next. */
  async #run(rows: readonly RunnerRow[]): Promise<Float32Array[]> {
    return (await this.#runner.run(rows)).map((logits) => logits.all().slice());
  }
}

/** NaN where one of them is. */
const largest = (errors: readonly number[]): number => Math.max(...errors);
