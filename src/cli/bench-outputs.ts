import { accessSync, constants, existsSync, statSync, writeFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { requestsCsv } from "../bench/report/csv.js";
import { loadPicture } from "../bench/report/load-picture.js";
import { reportPage } from "../bench/report/report-page.js";
import { terminalTable } from "../bench/report/table.js";
import type { BenchResult } from "../bench/result.js";
import { VitrineError } from "../errors.js";

export type OutputFiles = { readonly [kind in "json" | "csv" | "html" | "svg"]?: string | undefined };

/** Before a run of minutes, not after it. Throws `config_invalid`, which names the option. */
export function checkOutputs(files: OutputFiles): void {
  for (const kind of ["json", "csv", "html", "svg"] as const) {
    const path = files[kind];
    if (path === undefined) continue;
    const why = whyNotWritable(resolve(path));
    if (why === undefined) continue;
    const message = `--${kind}: ${path} cannot be written (${why}): name a file in a folder that exists and that you may write to.`;
    throw new VitrineError("config_invalid", message);
  }
}

function whyNotWritable(path: string): string | undefined {
  try {
    const exists = existsSync(path);
    if (exists && statSync(path).isDirectory()) return "EISDIR";
    if (!exists && !statSync(dirname(path)).isDirectory()) return "ENOTDIR";
    accessSync(exists ? path : dirname(path), constants.W_OK);
    return undefined;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? "unknown";
  }
}

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
