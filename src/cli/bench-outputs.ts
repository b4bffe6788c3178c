import { accessSync, constants, existsSync, statSync, writeFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { requestsCsv } from "../bench/report/csv.js";
import { loadPicture } from "../bench/report/load-picture.js";
import { reportPage } from "../bench/report/report-page.js";
import { terminalTable } from "../bench/report/table.js";
import type { BenchResult } from "../bench/result.js";
import { fileProblem, VitrineError } from "../errors.js";

export type OutputFiles = { readonly [kind in "json" | "csv" | "html" | "svg"]?: string | undefined };

/** Before a run of minutes, not after it. Throws `config_invalid`, which names the option. */
export function checkOutputs(files: OutputFiles): void {
  for (const kind of ["json", "csv", "html", "svg"] as const) {
    const path = files[kind];
    if (path === undefined) continue;
    const why = whyNotWritable(resolve(path));
    if (why !== undefined) throw unwritable(kind, path, why);
  }
}

function whyNotWritable(path: string): string | undefined {
  try {
    const exists = existsSync(path);
    if (exists && statSync(path).isDirectory()) return "it is a folder";
    if (!statSync(dirname(path), { throwIfNoEntry: false })?.isDirectory())
      return `there is no folder ${dirname(path)}`;
    accessSync(exists ? path : dirname(path), constants.W_OK);
    return undefined;
  } catch (error) {
    return fileProblem(error);
  }
}

/** What a benchmark leaves: always a table, and files where they are asked for. Throws `config_invalid`, which names the option. */
export function writeOutputs(result: BenchResult, files: OutputFiles): void {
  const write = (kind: keyof OutputFiles, text: (result: BenchResult) => string): void => {
    const path = files[kind];
    if (path === undefined) return;
    const content = text(result);
    try {
      writeFileSync(path, content);
    } catch (error) {
      throw unwritable(kind, path, fileProblem(error));
    }
  };
  // First: a full disk shall not take it along.
  console.log(`\n${terminalTable(result, terminalStyle())}`);
  write("json", (whole) => `${JSON.stringify(whole)}\n`);
  write("csv", requestsCsv);
  write("html", reportPage);
  // Last: it may be asked of what cannot give it.
  write("svg", loadPicture);
}

function unwritable(kind: keyof OutputFiles, path: string, why: string): VitrineError {
  const message = `--${kind}: ${path} cannot be written, ${why}: name one in a folder that exists, has room, and is yours to write to.`;
  return new VitrineError("config_invalid", message);
}

export const terminalStyle = () => ({
  width: process.stdout.columns ?? 120,
  color: process.stdout.isTTY === true,
});
