/** Draws one trace, as Zipkin's read API gives it, for a terminal. */

/** The part of Zipkin's v2 span (https://zipkin.io/zipkin-api/) that is drawn. Times are microseconds. */
export interface ZipkinSpan {
  readonly traceId: string;
  readonly id: string;
  readonly parentId?: string;
  readonly name?: string;
  readonly timestamp?: number;
  readonly duration?: number;
  readonly tags?: Readonly<Record<string, string>>;
  readonly annotations?: readonly { readonly timestamp: number; readonly value: string }[];
}

export interface WaterfallStyle {
  /** Columns of the terminal. */
  readonly width: number;
  readonly color: boolean;
}

interface Row {
  readonly span: ZipkinSpan;
  /** Tree lines before the name, and before the lines below it. */
  readonly branch: string;
  readonly indent: string;
}

const ms = (micros: number): string => `${(micros / 1000).toFixed(micros < 10_000 ? 2 : 1)} ms`;

/** Parents before children, siblings by start; a span whose parent is elsewhere is a root. */
function rowsOf(spans: readonly ZipkinSpan[]): Row[] {
  const ids = new Set(spans.map((span) => span.id));
  const byStart = [...spans].sort((a, b) => (a.timestamp ?? 0) - (b.timestamp ?? 0));
  const childrenOf = (id: string | undefined): ZipkinSpan[] =>
    byStart.filter((span) => (id === undefined ? !ids.has(span.parentId ?? "") : span.parentId === id));
  const visit = (span: ZipkinSpan, branch: string, indent: string): Row[] => {
    const children = childrenOf(span.id);
    const rows = children.flatMap((child, index) => {
      const last = index === children.length - 1;
      return visit(child, `${indent}${last ? "└─ " : "├─ "}`, `${indent}${last ? "   " : "│  "}`);
    });
    return [{ span, branch, indent: children.length > 0 ? `${indent}│ ` : `${indent}  ` }, ...rows];
  };
  return childrenOf(undefined).flatMap((root) => visit(root, "", ""));
}

function bar(span: ZipkinSpan, start: number, total: number, width: number): string {
  const from = Math.min(width - 1, Math.floor((((span.timestamp ?? start) - start) / total) * width));
  const length = Math.max(1, Math.min(width - from, Math.round(((span.duration ?? 0) / total) * width)));
  return `${" ".repeat(from)}${"█".repeat(length)}${" ".repeat(width - from - length)}`;
}

/** Words joined by two spaces into lines of at most `width` columns. */
function wrap(words: readonly string[], width: number): string[] {
  const lines: string[] = [];
  for (const word of words) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 2 + word.length <= width) lines[lines.length - 1] = `${last}  ${word}`;
    else lines.push(word);
  }
  return lines;
}

function details(span: ZipkinSpan, start: number): string[] {
  // The gen_ai.* tags say the same as the ai.* ones, for tools that look for OpenTelemetry's names.
  const own = Object.entries(span.tags ?? {}).filter(([key]) => !key.startsWith("gen_ai."));
  const tags = own.map(([key, value]) => `${key}=${value}`);
  const annotations = (span.annotations ?? []).map(({ timestamp, value }) => `@${value} +${ms(timestamp - start)}`);
  return [...annotations, ...tags];
}

/** Lines of the picture, without a final newline. An empty trace gives one line that says so. */
export function waterfall(spans: readonly ZipkinSpan[], style: WaterfallStyle): string {
  const rows = rowsOf(spans);
  const [first] = rows;
  if (first === undefined) return "(no spans)";
  const dim = (line: string): string => (style.color ? `\u001b[2m${line}\u001b[22m` : line);
  const bright = (line: string): string => (style.color ? `\u001b[36m${line}\u001b[39m` : line);

  const start = Math.min(...rows.map(({ span }) => span.timestamp ?? Number.POSITIVE_INFINITY));
  const end = Math.max(...rows.map(({ span }) => (span.timestamp ?? 0) + (span.duration ?? 0)));
  const total = Math.max(1, end - start);
  const title = ({ span, branch }: Row): string => `${branch}${span.name ?? "(unnamed)"}`;
  const titleWidth = Math.max(...rows.map((row) => title(row).length));
  const barWidth = Math.max(10, Math.min(40, style.width - titleWidth - 26));

  const lines = rows.flatMap((row) => {
    const { span, indent } = row;
    const offset = `+${ms((span.timestamp ?? start) - start)}`.padStart(11);
    const duration = ms(span.duration ?? 0).padStart(11);
    const head = `${title(row).padEnd(titleWidth)} ${offset} ${duration}  ${bright(bar(span, start, total, barWidth).trimEnd())}`;
    const below = wrap(details(span, start), Math.max(20, style.width - indent.length));
    return [head, ...below.map((line) => dim(`${indent}${line}`))];
  });
  return [`trace ${first.span.traceId}  ${rows.length} spans  ${ms(total)}`, ...lines].join("\n");
}
