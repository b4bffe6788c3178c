/** One thing that was looked at. What is not in order comes with its cure. */
export type Finding =
  | { readonly status: "ok"; readonly what: string }
  | {
      /** A problem keeps `vitrine serve` from doing what was asked of it; a warning does not. */
      readonly status: "warning" | "problem";
      /** What was found, one clause. */
      readonly what: string;
      /** What to do about it, one sentence. */
      readonly cure: string;
    };

export const ok = (what: string): Finding => ({ status: "ok", what });
export const warning = (what: string, cure: string): Finding => ({ status: "warning", what, cure });
export const problem = (what: string, cure: string): Finding => ({ status: "problem", what, cure });

/** `1.5 GiB`, as the options take sizes. */
export function size(bytes: number): string {
  const [unit, factor] = bytes >= 2 ** 30 ? ["GiB", 2 ** 30] : bytes >= 2 ** 20 ? ["MiB", 2 ** 20] : ["KiB", 2 ** 10];
  const value = bytes / factor;
  return `${value.toFixed(value < 10 ? 1 : 0)} ${unit}`;
}
