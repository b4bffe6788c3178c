/** What `vitrine doctor` found, for a terminal. */
import type { Examination } from "../doctor/examine.js";
import type { Finding } from "../doctor/finding.js";

export interface DiagnosisStyle {
  /** Columns of the terminal. */
  readonly width: number;
  readonly color: boolean;
}

export interface Verdict {
  /** No problem; warnings do not count. */
  readonly healthy: boolean;
  readonly problems: number;
  readonly warnings: number;
}

const MARKS = {
  ok: { mark: "✓", color: "32" },
  warning: { mark: "!", color: "33" },
  problem: { mark: "✗", color: "31" },
} as const;

const DIM = "2";
const BOLD = "1";

export function verdictOf(examinations: readonly Examination[]): Verdict {
  const count = (status: Finding["status"]): number =>
    examinations.flatMap(({ findings }) => findings).filter((finding) => finding.status === status).length;
  const [problems, warnings] = [count("problem"), count("warning")];
  return { healthy: problems === 0, problems, warnings };
}

/** Lines without a final newline: a column of subjects, a mark for each finding, cures below, and the verdict last. */
export function diagnosisText(examinations: readonly Examination[], style: DiagnosisStyle): string {
  const column = Math.max(...examinations.map(({ subject }) => subject.length)) + 2;
  const lines = examinations.flatMap(({ subject, findings }) =>
    findings.flatMap((finding, index) => {
      const title = (index === 0 ? subject : "").padEnd(column);
      return findingLines(finding, painted(title, BOLD, style), column, style);
    }),
  );
  return [...lines, "", summary(verdictOf(examinations), style)].join("\n");
}

function findingLines(finding: Finding, title: string, column: number, style: DiagnosisStyle): string[] {
  const { mark, color } = MARKS[finding.status];
  const indent = " ".repeat(column + 2);
  const width = Math.max(30, style.width - indent.length);
  const [first = "", ...more] = wrapped(finding.what, width);
  const cure = finding.status === "ok" ? [] : wrapped(finding.cure, width);
  return [
    `${title}${painted(mark, color, style)} ${first}`,
    ...more.map((line) => `${indent}${line}`),
    ...cure.map((line) => `${indent}${painted(line, DIM, style)}`),
  ];
}

function summary({ healthy, problems, warnings }: Verdict, style: DiagnosisStyle): string {
  const many = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`;
  const counted = [
    ...(problems > 0 ? [many(problems, "problem")] : []),
    ...(warnings > 0 ? [many(warnings, "warning")] : []),
  ].join(", ");
  const { color } = MARKS[healthy ? (warnings > 0 ? "warning" : "ok") : "problem"];
  const text = healthy ? `Ready to serve${counted === "" ? "" : ` (${counted})`}.` : `Not ready to serve: ${counted}.`;
  return painted(text, color, style);
}

const painted = (text: string, code: string, { color }: DiagnosisStyle): string =>
  color ? `\u001b[${code}m${text}\u001b[0m` : text;

/** Lines of whole words. */
function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}
