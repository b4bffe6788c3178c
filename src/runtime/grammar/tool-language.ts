import type { ToolCallGrammar } from "../../protocol.js";
import { ALL_BYTES } from "./byte-set.js";
import type { Derivatives } from "./derivatives.js";
import type { Expr, Expressions } from "./expression.js";
import { specialBytes } from "./special-bytes.js";

export interface ToolParts {
  /** By tool, in order: what its arguments may be. */
  readonly parameters: readonly Expr[];
  /** What the output may be instead of calls; undefined for any text. */
  readonly otherwise: Expr | undefined;
  /** Names of special tokens, which may be parts of the format. */
  readonly special: readonly string[];
}

/** Tool calls as the model writes them, and what else the grammar allows. */
export function toolLanguage(
  derivatives: Derivatives,
  { format, tools, parallel }: ToolCallGrammar,
  { parameters, otherwise, special }: ToolParts,
): Expr {
  const { exprs } = derivatives;
  const text = (part: string): Expr => formatLiteral(exprs, part, special);
  const call = exprs.alt(
    ...tools.map(({ name }, i) =>
      exprs.all(exprs.literal(JSON.stringify(name).slice(1, -1)), text(format.middle), parameters[i] ?? exprs.never),
    ),
  );
  const several = parallel && format.between !== undefined;
  const more = several ? exprs.repeat(exprs.seq(text(format.between ?? ""), call)) : exprs.empty;
  const after = (open: string): Expr => exprs.all(text(open), call, more, text(format.close));
  const calls = after(format.open);
  if (otherwise !== undefined) return exprs.alt(calls, otherwise);
  if (format.marker === "") {
    return exprs.alt(calls, exprs.not(exprs.seq(text(format.open), exprs.any)));
  }
  const marker = exprs.seq(exprs.any, text(format.marker));
  const free = exprs.not(exprs.seq(marker, exprs.any));
  const goneOn = exprs.all(marker, exprs.bytes(ALL_BYTES), exprs.any);
  const untilMarker = derivatives.and(marker, exprs.not(goneOn));
  return exprs.alt(free, exprs.seq(untilMarker, after(format.open.slice(format.marker.length))));
}

function formatLiteral(exprs: Expressions, part: string, special: readonly string[]): Expr {
  const first = special
    .map((name) => ({ name, at: part.indexOf(name) }))
    .filter(({ at }) => at >= 0)
    .sort((a, b) => a.at - b.at || b.name.length - a.name.length)[0];
  if (first === undefined) return exprs.literal(part);
  const { name, at } = first;
  const rest = formatLiteral(exprs, part.slice(at + name.length), special);
  return exprs.all(exprs.literal(part.slice(0, at)), exprs.literal(specialBytes(name)), rest);
}
