import { writeFileSync } from "node:fs";
import { requestsCsv } from "../bench/report/csv.js";
import { loadPicture } from "../bench/report/load-picture.js";
import { reportPage } from "../bench/report/report-page.js";
import { terminalTable } from "../bench/report/table.js";
import type { BenchResult } from "../bench/result.js";

export type OutputFiles = { readonly [kind in "json" | "csv" | "html" | "svg"]?: string | undefined };

/** What a benchmark leaves: files where they are asked for, and always a table. */
export function writeOutputs(result: BenchResult, files: OutputFiles): void {
  if (files.json !== undefined) writeFileSync(files.json, `${JSON.stringify(result)}\n`);
  if (files.csv !== undefined) writeFileSync(files.csv, requestsCsv(result));
  if (files.html !== undefined) writeFileSync(files.html, reportPage(result));
  console.log(`\n${terminalTable(result, terminalStyle())}`);
  // Last: it may be asked of what cannot give it.
  if (files.svg !== undefined) writeFileSync(files.svg, loadPicture(result));
}

export const terminalStyle = () => ({
  width: process.stdout.columns ?? 120,
  color: process.stdout.isTTY === true,
});
