import { writeFileSync } from "node:fs";
import type { CheckRow } from "./check-row.js";

/** Where and what was checked. */
export interface ReportHead {
  readonly command: string;
  readonly commit: string;
  readonly date: string;
  readonly machine: string;
}

/** The rows so far: each is printed as it comes, and the file is up to date whenever the command is stopped. */
export class CheckReport {
  readonly #rows: CheckRow[] = [];

  constructor(
    private readonly head: ReportHead,
    private readonly file: string | undefined,
  ) {}

  get rows(): readonly CheckRow[] {
    return this.#rows;
  }

  readonly add = (row: CheckRow): void => {
    this.#rows.push(row);
    process.stderr.write(`  ${row.name}: ${inWords(row)}${row.met === false ? " (NOT MET)" : ""}\n`);
    if (this.file !== undefined)
      writeFileSync(this.file, `${JSON.stringify({ ...this.head, rows: this.#rows }, null, 2)}\n`);
  };

  print(): void {
    const met = (row: CheckRow): string => (row.met === undefined ? "" : row.met ? "yes" : "NO");
    const lines = this.#rows.map((row) => [row.name, inWords(row), row.target ?? "", met(row)]);
    const { command, commit, date, machine } = this.head;
    console.log(`\`${command}\`, commit ${commit}, ${date}, ${machine}.\n`);
    console.log("| what | value | target | met |\n|---|---|---|---|");
    for (const cells of lines) console.log(`| ${cells.join(" | ").replaceAll("\n", " ")} |`);
  }
}

const inWords = ({ value, unit }: CheckRow): string =>
  [typeof value === "number" ? Number(value.toPrecision(4)) : value, unit]
    .filter((part) => part !== undefined)
    .join(" ");
