import { reasonOf } from "../../../src/runtime/files/json-file.js";
import { ortReason } from "../../../src/runtime/node/ort-reason.js";

/** One line of the report. */
export interface CheckRow {
  readonly name: string;
  readonly value: number | string;
  readonly unit?: string;
  /** What the value is to be, in words. */
  readonly target?: string;
  readonly met?: boolean;
}

/** A row whose value is to be at least, or at most, some number. */
export function judged(
  row: Pick<CheckRow, "name" | "unit"> & { readonly value: number },
  bound: "at least" | "at most",
  target: number,
): CheckRow {
  return {
    ...row,
    target: `${bound} ${target}`,
    met: bound === "at least" ? row.value >= target : row.value <= target,
  };
}

/** A measure that could not be taken, and why. */
export const failure = (name: string, why: string): CheckRow => ({ name, value: `failed: ${why}`, met: false });

export const failureOf = (name: string, error: unknown): CheckRow => failure(name, ortReason(reasonOf(error)));

const SKIPPED = "skipped: ";

/** A measure that does not apply here, and why. */
export const skipped = (name: string, why: string): CheckRow => ({ name, value: `${SKIPPED}${why}` });

export const isSkipped = ({ value }: CheckRow): boolean => typeof value === "string" && value.startsWith(SKIPPED);
