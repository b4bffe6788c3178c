/** Runs a program in a process of its own, with an OpenTelemetry set-up before it or without, and returns its spans. */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

export interface RecordedSpan {
  readonly name: string;
  readonly id: string;
  readonly parentId?: string;
  /** Microseconds since the epoch. */
  readonly start: number;
  readonly end: number;
  readonly attributes: Readonly<Record<string, unknown>>;
  readonly status: number;
  readonly events: readonly string[];
}

export interface ProgramRun {
  readonly stdout: string;
  readonly stderr: string;
  readonly spans: readonly RecordedSpan[];
}

const SETUP = fileURLToPath(new URL("./otel-setup.js", import.meta.url));
const execute = promisify(execFile);

/** `folder` takes the file of spans. Throws where the program fails. */
export async function runInstrumented(
  folder: string,
  program: readonly string[],
  traced: boolean,
): Promise<ProgramRun> {
  const file = join(folder, `spans-${process.hrtime.bigint()}.json`);
  const { PATH, HOME } = process.env;
  const env = { PATH, HOME, ORT_DISABLE_TELEMETRY: "1", SPANS: file };
  const args = [...(traced ? ["--import", SETUP] : []), ...program];
  const { stdout, stderr } = await execute(process.execPath, args, { env, maxBuffer: 2 ** 24 }).catch(
    (failure: Error & { readonly stderr: string }) => {
      throw new Error(`the program failed: ${withoutWarnings(failure.stderr)}`);
    },
  );
  return {
    stdout,
    stderr: withoutWarnings(stderr),
    spans: traced ? (JSON.parse(readFileSync(file, "utf8")) as RecordedSpan[]) : [],
  };
}

/** Old versions of ONNX Runtime have much to say about any graph. */
function withoutWarnings(stderr: string): string {
  return stderr.replaceAll(/^.*W:onnxruntime.*\n/gm, "");
}

/** Names as a tree for each root, siblings by name, with the phase of forward passes and the class of failures. */
export function spanTrees(spans: readonly RecordedSpan[]): string[] {
  const ids = new Set(spans.map(({ id }) => id));
  const below = (parent: string | undefined, indent: string): string[] =>
    spans
      .filter(({ parentId }) => (parentId !== undefined && ids.has(parentId) ? parentId : undefined) === parent)
      .map(({ id, name, attributes }) => {
        const { "ai.phase": phase, "error.type": failure } = attributes;
        const label = [name, phase, failure === undefined ? undefined : `!${failure}`].filter(Boolean).join(" ");
        return [`${indent}${label}`, ...below(id, `${indent}  `)].join("\n");
      })
      .sort();
  return below(undefined, "");
}
