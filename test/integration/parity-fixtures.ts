import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Dtype } from "../../src/protocol.js";
import { PACKAGE_ROOT } from "../support/vitrine-process.js";

/** What test/fixtures/parity/make.py recorded; its README says how. */
const ROOT = join(PACKAGE_ROOT, "test/fixtures/parity");

export interface ParityCase {
  readonly prompt: readonly number[];
  /** Greedy continuation. */
  readonly ids: readonly number[];
  /** Last-position logits of some steps: 0 is the prefill. */
  readonly logits?: readonly { readonly step: number; readonly row: readonly number[] }[];
}

export interface ParityGraph {
  /** e.g. `llama/genai/model_q4.onnx`. */
  readonly name: string;
  /** A directory in the hub's layout. */
  readonly directory: string;
  readonly path: string;
  readonly file: string;
  /** Who recorded the cases. */
  readonly reference: string;
  readonly cases: readonly ParityCase[];
  /** Of models whose rotary factors change with the length: sequences that grow beyond it, or start there. */
  readonly beyondSwitch: readonly ParityCase[];
}

interface Recorded {
  readonly reference: string;
  readonly cases?: readonly ParityCase[];
  readonly beyondSwitch?: readonly ParityCase[];
}

/** Every committed graph with its cases, in a stable order. */
export function parityGraphs(): ParityGraph[] {
  return folders(ROOT).flatMap((architecture) => {
    const pytorch = readJson(join(ROOT, architecture, "pytorch.json")) as Recorded & Pick<ParityGraph, "cases">;
    return folders(join(ROOT, architecture)).flatMap((exporter) => {
      const directory = join(ROOT, architecture, exporter);
      const graphs = readJson(join(directory, "references.json")) as Record<string, Recorded>;
      return Object.entries(graphs).map(([file, recorded]) => ({
        name: `${architecture}/${exporter}/${file}`,
        directory,
        path: join(directory, "onnx", file),
        file,
        reference: recorded.cases === undefined ? pytorch.reference : recorded.reference,
        cases: recorded.cases ?? pytorch.cases,
        beyondSwitch: pytorch.beyondSwitch ?? [],
      }));
    });
  });
}

/** What the file's name says of its weights. */
export function dtypeOf(file: string): Dtype {
  const suffix = /_(fp16|bf16|q4|q4f16|int8|uint8|bnb4)\.onnx$/.exec(file)?.[1];
  return (suffix as Dtype | undefined) ?? "fp32";
}

function folders(path: string): string[] {
  const entries = readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const names = entries.map((entry) => entry.name).sort();
  return names.filter((name) => existsSync(join(path, name, "pytorch.json")) || existsSync(join(path, name, "onnx")));
}

function readJson(path: string): unknown {
  return JSON.parse(readFileSync(path, "utf8"));
}
