import { type Column, columns, dim, type TerminalStyle } from "../report/columns.js";
import { count, number } from "../report/format.js";
import type { Comparison, Difference } from "./compare.js";

/** What a comparison found, for a terminal. Lines without a final newline. */
export function describeComparison({ differences, notes, unmatched }: Comparison, style: TerminalStyle): string {
  const column = (title: string, read: (row: Difference) => string): Column => ({
    title,
    cells: differences.map(read),
  });
  const rows = columns(
    [
      column("load", ({ load }) => load),
      column("metric", ({ metric }) => metric),
      column("a", ({ a, metric }) => value(a, metric)),
      column("b", ({ b, metric }) => value(b, metric)),
      column("b / a", ({ ratio }) => ratio.toFixed(3)),
      column("95 % interval", ({ low, high }) => `${low.toFixed(3)} to ${high.toFixed(3)}`),
      column("b is", ({ verdict }) => verdict),
    ],
    style,
  );
  const missing =
    unmatched.length === 0 ? [] : [`Not compared, as only one of the two has it: ${unmatched.join(", ")}.`];
  return [
    ...notes,
    ...missing,
    ...(notes.length + missing.length > 0 ? [""] : []),
    ...rows,
    "",
    ...verdict(differences, style),
  ].join("\n");
}

const value = (amount: number, metric: string): string =>
  metric === "failed share" ? `${(amount * 100).toFixed(1)} %` : number(amount);

function verdict(differences: readonly Difference[], style: TerminalStyle): string[] {
  const found = (kind: Difference["verdict"]): Difference[] => differences.filter(({ verdict }) => verdict === kind);
  const [better, worse, unclear] = [found("better"), found("worse"), found("unclear")];
  const tests = count(differences.length, "comparison");
  const first =
    better.length + worse.length === 0
      ? `No difference is more than noise, over ${tests} together.`
      : `More than noise, over ${tests} together at 95 %: ${better.length} better, ${worse.length} worse.`;
  const chance = `${unclear.length} unclear: of ${tests}, about ${(differences.length * 0.05).toFixed(1)} look so by chance. More requests would tell.`;
  const scope = "Noise is that within these runs; what a restart or another day changes is not in it.";
  return [first, ...(unclear.length === 0 ? [] : [chance]), dim(scope, style)];
}

/** The metrics that got worse by more than `limit`, a share, and more than by noise. */
export function regressions({ differences }: Comparison, limit: number): Difference[] {
  return differences.filter(({ verdict, ratio, better }) => {
    return verdict === "worse" && (better === "less" ? ratio > 1 + limit : ratio < 1 - limit);
  });
}
