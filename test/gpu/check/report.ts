import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { type CheckRow, isSkipped } from "./check-row.js";

/** Where and what was checked. */
export interface ReportHead {
  readonly command: string;
  readonly commit: string;
  readonly date: string;
  readonly machine: string;
}

export interface ReportRow extends CheckRow {
  readonly section: string;
}

/** The file's content. */
export interface ReportFile extends ReportHead {
  /** Seconds that each section took that was measured to its end. */
  readonly done: Readonly<Record<string, number>>;
  readonly rows: readonly ReportRow[];
}

/** The rows so far: each is said as it comes, and the file is up to date whenever the command is stopped. */
export class CheckReport {
  #rows: ReportRow[] = [];
  readonly #done = new Map<string, number>();

  constructor(
    private readonly head: ReportHead,
    private readonly file: string | undefined,
    private readonly say: (line: string) => void = (line) => process.stderr.write(`${line}\n`),
  ) {}

  /** Takes the sections from the file that came to their end. Throws where it is of something else. */
  resume(): void {
    if (this.file === undefined || !existsSync(this.file)) return;
    const { done, rows, ...head } = JSON.parse(readFileSync(this.file, "utf8")) as ReportFile;
    for (const name of ["command", "commit", "machine"] as const) {
      if (head[name] !== this.head[name])
        throw new Error(`${this.file} is of another ${name} (${head[name]}): give --json another file.`);
    }
    for (const [section, seconds] of Object.entries(done)) this.#done.set(section, seconds);
    this.#rows = rows.filter(({ section }) => this.#done.has(section));
  }

  get rows(): readonly ReportRow[] {
    return this.#rows;
  }

  isDone(section: string): boolean {
    return this.#done.has(section);
  }

  /** Forgets what there is of a section, which is measured anew. */
  begin(section: string): void {
    this.#done.delete(section);
    this.#rows = this.#rows.filter((row) => row.section !== section);
  }

  add(section: string, row: CheckRow): void {
    this.#rows.push({ section, ...row });
    this.say(`  ${row.name}: ${inWords(row)}${row.met === false ? " (NOT MET)" : ""}`);
    this.#write();
  }

  end(section: string, seconds: number): void {
    this.#done.set(section, Math.round(seconds * 10) / 10);
    this.#write();
  }

  /** The table, and what was met and missed. */
  text(): string {
    const met = (row: CheckRow): string => (row.met === undefined ? "" : row.met ? "yes" : "NO");
    const cells = this.#rows.map((row) => [row.name, inWords(row), row.target ?? "", met(row)]);
    const lines = cells.map((line) => `| ${line.join(" | ").replaceAll("\n", " ")} |`);
    const { command, commit, date, machine } = this.head;
    const head = `\`${command}\`, commit ${commit}, ${date}, ${machine}.`;
    return [head, "", "| what | value | target | met |", "|---|---|---|---|", ...lines, "", this.#summary()].join("\n");
  }

  #summary(): string {
    const judged = this.#rows.filter((row) => row.met !== undefined);
    const missed = judged.filter((row) => row.met === false);
    const skips = this.#rows.filter(isSkipped).length;
    return [
      `Met: ${judged.length - missed.length} of ${judged.length}; skipped: ${skips}.`,
      ...missed.map((row) => `- not met: ${row.name}: ${[inWords(row), row.target].filter(Boolean).join(", ")}`),
    ].join("\n");
  }

  /** Under another name first: whoever is stopped while it writes leaves the file as it was. */
  #write(): void {
    if (this.file === undefined) return;
    const content: ReportFile = { ...this.head, done: Object.fromEntries(this.#done), rows: this.#rows };
    writeFileSync(`${this.file}.new`, `${JSON.stringify(content, null, 2)}\n`);
    renameSync(`${this.file}.new`, this.file);
  }
}

const inWords = ({ value, unit }: CheckRow): string =>
  [typeof value === "number" ? Number(value.toPrecision(4)) : value, unit]
    .filter((part) => part !== undefined)
    .join(" ");
