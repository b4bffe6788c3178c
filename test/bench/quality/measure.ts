import type { ModelRunner } from "../../../src/engine/runner.js";
import { runLogits } from "../../support/run-logits.js";
import { argMax } from "../peers/peer.js";
import { divergence, largestDifference, logProbabilities } from "./divergence.js";

/** What is fed: the same to every graph. */
export interface Material {
  /** Pieces of text, all of one length. */
  readonly windows: readonly Int32Array[];
  /** Rendered prompts, to be continued. */
  readonly prompts: readonly Int32Array[];
}

/** What a graph answers. */
export interface Answers {
  /** By window, then by position: log-probabilities of every next token. */
  readonly predictions: readonly (readonly Float32Array[])[];
  /** By prompt: the likeliest tokens, each fed back. */
  readonly continuations: readonly Int32Array[];
}

/** One window of text, seen by a graph and by the one it is held against. */
export interface WindowComparison {
  /** Mean negative log-likelihood of the text: the logarithm of its perplexity. */
  readonly loss: number;
  readonly referenceLoss: number;
  /** Mean Kullback-Leibler divergence, in nats. */
  readonly divergence: number;
  /** Share of positions with the same likeliest token. */
  readonly sameTop: number;
  /** Largest difference of two log-probabilities; 0 means identical. */
  readonly largest: number;
}

/** Sequences at once, as a server with some users has them. */
export const ROWS = 8;
/** The first half of a window is a prompt, and only the second is scored, as llama.cpp's `perplexity` does it. */
const PROMPT_SHARE = 0.5;
const CONTINUATION_TOKENS = 32;

/** Runs the windows, decoding token by token after their prompt, and continues the prompts. */
export async function answer(runner: ModelRunner, { windows, prompts }: Material): Promise<Answers> {
  const predictions: Float32Array[][] = [];
  for (let first = 0; first < windows.length; first += ROWS) {
    predictions.push(...(await predict(runner, windows.slice(first, first + ROWS))));
  }
  const continuations: Int32Array[] = [];
  for (const prompt of prompts) continuations.push(await carryOn(runner, prompt));
  return { predictions, continuations };
}

const promptLength = (window: Int32Array): number => Math.floor(window.length * PROMPT_SHARE);

async function predict(runner: ModelRunner, windows: readonly Int32Array[]): Promise<Float32Array[][]> {
  const predictions = windows.map((): Float32Array[] => []);
  const length = windows[0]?.length ?? 0;
  for (let past = 0, end = promptLength(windows[0] as Int32Array); end < length; past = end, end++) {
    const rows = windows.map((tokens, slot) => ({ slot, tokens: tokens.subarray(past, end), past }));
    const logits = await runLogits(runner, rows);
    for (const [slot, row] of logits.entries()) predictions[slot]?.push(logProbabilities(row));
  }
  for (const slot of windows.keys()) runner.release(slot);
  return predictions;
}

async function carryOn(runner: ModelRunner, prompt: Int32Array): Promise<Int32Array> {
  const continuation = new Int32Array(CONTINUATION_TOKENS);
  let tokens = prompt;
  let past = 0;
  for (let at = 0; at < CONTINUATION_TOKENS; at++) {
    const [logits] = await runLogits(runner, [{ slot: 0, tokens, past }]);
    past += tokens.length;
    continuation[at] = argMax(logits as Float32Array);
    tokens = continuation.subarray(at, at + 1);
  }
  runner.release(0);
  return continuation;
}

/** Window by window. */
export function compareWindows(windows: readonly Int32Array[], own: Answers, reference: Answers): WindowComparison[] {
  return windows.map((tokens, index) => {
    const [mine, theirs] = [own.predictions[index] ?? [], reference.predictions[index] ?? []];
    const first = promptLength(tokens);
    const sums = { loss: 0, referenceLoss: 0, divergence: 0, sameTop: 0 };
    let largest = 0;
    for (const [at, row] of mine.entries()) {
      const expected = theirs[at] as Float32Array;
      const next = tokens[first + at] as number;
      sums.loss -= row[next] as number;
      sums.referenceLoss -= expected[next] as number;
      sums.divergence += divergence(expected, row);
      sums.sameTop += argMax(row) === argMax(expected) ? 1 : 0;
      largest = Math.max(largest, largestDifference(row, expected));
    }
    const per = (sum: number): number => sum / mine.length;
    const { loss, referenceLoss, sameTop } = sums;
    return {
      loss: per(loss),
      referenceLoss: per(referenceLoss),
      divergence: per(sums.divergence),
      sameTop: per(sameTop),
      largest,
    };
  });
}

/** Share of the prompts that are continued by the same tokens to the end. */
export function sameContinuations(own: Answers, reference: Answers): number {
  const same = own.continuations.filter((tokens, index) =>
    tokens.every((token, at) => token === reference.continuations[index]?.[at]),
  );
  return same.length / own.continuations.length;
}
