/** Aligned columns for a terminal. */

export interface TerminalStyle {
  /** Columns of the terminal. */
  readonly width: number;
  readonly color: boolean;
}

export interface Column {
  readonly title: string;
  readonly cells: readonly string[];
}

/** The first column to the left, the others to the right; what does not fit the width goes below, named. */
export function columns(all: readonly Column[], style: TerminalStyle): string[] {
  const widths = all.map(({ title, cells }) => Math.max(title.length, ...cells.map((cell) => cell.length)));
  const fitting = fittingColumns(widths, style.width);
  const line = (cells: readonly string[]): string[] => {
    const pad = (index: number): string =>
      index === 0 ? (cells[0] ?? "").padEnd(widths[0] ?? 0) : (cells[index] ?? "").padStart(widths[index] ?? 0);
    const first = all.slice(0, fitting).map((_, index) => pad(index));
    const rest = all.slice(fitting).map(({ title }, index) => `    ${title} ${cells[fitting + index]}`);
    return [first.join("  ").trimEnd(), ...rest];
  };
  const heads = all.slice(0, fitting).map(({ title }) => title);
  const head = heads.map((title, index) =>
    index === 0 ? title.padEnd(widths[0] ?? 0) : title.padStart(widths[index] ?? 0),
  );
  const rows = Array.from({ length: all[0]?.cells.length ?? 0 }, (_, row) =>
    line(all.map(({ cells }) => cells[row] ?? "")),
  );
  return [dim(head.join("  "), style), ...rows.flat()];
}

function fittingColumns(widths: readonly number[], room: number): number {
  let used = -2;
  const overflowing = widths.findIndex((width) => {
    used += width + 2;
    return used > room;
  });
  return overflowing === -1 ? widths.length : Math.max(1, overflowing);
}

export const dim = (line: string, { color }: TerminalStyle): string => (color ? `\u001b[2m${line}\u001b[22m` : line);
export const bright = (line: string, { color }: TerminalStyle): string =>
  color && line !== "" ? `\u001b[36m${line}\u001b[39m` : line;
