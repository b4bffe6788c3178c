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
