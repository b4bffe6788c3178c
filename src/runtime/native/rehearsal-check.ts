/** What has happened where a check fails. */
export const REHEARSAL_CHECKS = {
  inputs: "a run read the inputs of another",
  chunks: "a prompt in pieces was not the prompt in one",
  tokens: "a prompt token by token was not the prompt in one",
  batch: "sequences side by side disturbed each other",
  moves: "rows that changed places lost what they held",
  growth: "a cache that grew lost what it held",
  candidates: "the likeliest tokens as the device chose them were not the likeliest",
  replay: "replayed steps were not plain ones",
  copy: "a copied beginning was not the beginning",
  long: "a step after a long prompt was not the prompt in one",
} as const;

export type RehearsalCheckName = keyof typeof REHEARSAL_CHECKS;

export interface RehearsalCheck {
  readonly name: RehearsalCheckName;
  /**
   * How far logits are from the right ones, as a share of how far those after another text are that ends in the same
   * token: near 1 where the cache holds something else. Of `candidates` the share that is wrong. NaN where logits are none.
   */
  readonly error: number;
  readonly most: number;
  /** Why it could not be played to its end. */
  readonly failure?: string;
}

export const hasPassed = ({ error, most }: RehearsalCheck): boolean => error <= most;

/** The first check that failed, and which did after it, without a full stop; undefined where all passed. */
export function explainRehearsal(checks: readonly RehearsalCheck[]): string | undefined {
  const [first, ...others] = checks.filter((check) => !hasPassed(check));
  if (first === undefined) return undefined;
  const also = others.length === 0 ? "" : `; also failed: ${others.map(({ name }) => name).join(", ")}`;
  return `${REHEARSAL_CHECKS[first.name]} (check "${first.name}": ${howMuch(first)})${also}`;
}

/** The largest error; undefined where one of the checks has none. */
export function largestError(checks: readonly RehearsalCheck[]): number | undefined {
  const largest = Math.max(...checks.map(({ error }) => error));
  return Number.isFinite(largest) ? largest : undefined;
}

/** Of checks that passed, e.g. `the largest difference 0.31 % of that to another text`. */
export function explainError(checks: readonly RehearsalCheck[]): string {
  return `the largest difference ${percent(largestError(checks) ?? 0)} of that to another text`;
}

function howMuch({ name, error, most, failure }: RehearsalCheck): string {
  if (failure !== undefined) return `it ended with "${failure.replace(/\.$/, "")}"`;
  if (Number.isNaN(error)) return "logits are no finite numbers";
  if (error === Number.POSITIVE_INFINITY) return "logits after different texts are the same";
  const what = name === "candidates" ? "of them are wrong" : "of the way to another text's logits";
  return `${percent(error)} ${what}, at most ${percent(most)} may be`;
}

const percent = (share: number): string =>
  `${share < 0.1 ? Number((share * 100).toPrecision(2)) : Math.round(share * 100)} %`;
