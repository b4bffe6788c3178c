/**
 * Graphs of the real exporters give PyTorch's greedy ids and logits: alone, prefilled in chunks, and in a batch whose
 * rows come and go. Every runner has to, on every graph.
 */
import assert from "node:assert/strict";
import type { ModelRunner } from "../../src/engine/runner.js";
import type { DeviceChoice } from "../../src/protocol.js";
import { openModelDirectory } from "../../src/runtime/files/model-directory.js";
import { readGraph, rewriteGraph } from "../../src/runtime/graph/prepare-graph.js";
import { createNativeRunner } from "../../src/runtime/native/native-runner.js";
import { createNodeRunner, type RunnerOptions } from "../../src/runtime/node/node-runner.js";
import { runLogits } from "../support/run-logits.js";
import { widenBfloat16 } from "../support/widen-bfloat16.js";
import { dtypeOf, type ParityCase, type ParityGraph, parityGraphs } from "./parity-fixtures.js";

interface Candidate {
  readonly name: string;
  readonly create: (options: RunnerOptions) => Promise<ModelRunner>;
}

const CANDIDATES: readonly Candidate[] = [
  { name: "node", create: createNodeRunner },
  { name: "native", create: createNativeRunner },
];

/** Recorded to four decimals; PyTorch and ONNX Runtime add in different orders, and GELU has two formulas. */
const LOGITS_TOLERANCE = 1e-3;
const CHUNK = 16;
const CPU: DeviceChoice = { requested: "cpu", provider: "cpu", reason: "The CPU was asked for." };

for (const candidate of CANDIDATES) {
  describe(`parity of the ${candidate.name} runner`, () => {
    for (const graph of parityGraphs()) describeGraph(candidate, graph);
  });
}

function describeGraph(candidate: Candidate, graph: ParityGraph): void {
  describe(graph.name, () => {
    let runner: ModelRunner;
    before(async () => {
      runner = await load(candidate, graph, graph.cases.length + graph.beyondSwitch.length);
    });
    after(() => runner?.dispose());

    for (const recorded of graph.cases) {
      it(`gives the ids of ${graph.reference} after ${recorded.prompt.length} tokens`, () =>
        runAlone(runner, recorded));
    }
    // Dynamic quantization takes one scale over all positions of a run: what is fed together changes the result.
    if (/int8/.test(graph.file)) return;
    it("gives the same prefilled in chunks", () => runInChunks(runner, graph.cases));
    it("gives the same in a batch that rows join and leave", () => runBatched(runner, graph.cases));
    if (graph.beyondSwitch.length > 0) describeBeyondSwitch(() => runner, graph);
  });
}

/** Of LongRoPE. Optimum's graphs have the short factors alone; those of the builder have both. */
function describeBeyondSwitch(runner: () => ModelRunner, graph: ParityGraph): void {
  if (/optimum/.test(graph.name)) {
    it("takes no sequence to where it lacks the factors", () => assert.equal(runner().model.contextLength, 96));
    return;
  }
  const { cases, beyondSwitch } = graph;
  for (const recorded of beyondSwitch) {
    it(`gives the ids of ${graph.reference} after ${recorded.prompt.length} tokens`, () =>
      runAlone(runner(), recorded));
  }
  it("gives the same beyond the switch prefilled in chunks", () => runInChunks(runner(), beyondSwitch));
  it("gives the same in a batch with rows on both sides of the switch", () =>
    runBatched(runner(), [...cases, ...beyondSwitch]));
}

function load(candidate: Candidate, graph: ParityGraph, maxSequences: number): Promise<ModelRunner> {
  const read = readGraph({ path: graph.path, dtype: dtypeOf(graph.file), weightBytes: 0 });
  const directory = openModelDirectory(graph.directory);
  const attention = candidate.name === "native" ? directory.config : undefined;
  // Recorded with the activations that the file asks for.
  const rewritten = rewriteGraph(read, { fastInt4: false, attention, ropeSwitch: directory.config.ropeSwitch });
  return candidate.create({
    directory,
    graph: read.bfloat16 ? widenBfloat16(rewritten) : rewritten,
    device: CPU,
    threads: 1,
    maxSequences,
  });
}

async function runAlone(runner: ModelRunner, { prompt, ids, logits = [] }: ParityCase): Promise<void> {
  const given: number[] = [];
  let tokens = Int32Array.from(prompt);
  for (let step = 0, past = 0; step < ids.length; step++) {
    const [row] = await runLogits(runner, [{ slot: 0, tokens, past }]);
    assert.ok(row);
    const expected = logits.find((entry) => entry.step === step);
    if (expected !== undefined) assertClose(row, expected.row, `logits of step ${step}`);
    given.push(argMax(row));
    past += tokens.length;
    tokens = Int32Array.of(argMax(row));
  }
  runner.release(0);
  assert.deepEqual(given, ids);
}

async function runInChunks(runner: ModelRunner, cases: readonly ParityCase[]): Promise<void> {
  const longest = cases.reduce((a, b) => (b.prompt.length > a.prompt.length ? b : a));
  const fed = [...longest.prompt, ...longest.ids.slice(0, -1)];
  const given: number[] = [];
  for (let past = 0; past < fed.length; past += CHUNK) {
    const [row] = await runLogits(runner, [{ slot: 0, tokens: Int32Array.from(fed.slice(past, past + CHUNK)), past }]);
    const next = Math.min(past + CHUNK, fed.length) - longest.prompt.length;
    if (next >= 0) given.push(argMax(row) - (longest.ids[next] as number));
  }
  runner.release(0);
  assert.ok(given.length > 1);
  assert.deepEqual(
    given.filter((difference) => difference !== 0),
    [],
    "another id than alone",
  );
}

/** Row i starts i steps late, prefills while the others decode, and leaves when it has all its ids. */
async function runBatched(runner: ModelRunner, cases: readonly ParityCase[]): Promise<void> {
  const given: number[][] = cases.map(() => []);
  const last = Math.max(...cases.map(({ ids }) => ids.length)) + cases.length - 1;
  for (let step = 0; step < last; step++) {
    const active = [...cases.keys()].filter((slot) => isActive(cases[slot] as ParityCase, step - slot));
    const results = await runLogits(
      runner,
      active.map((slot) => rowOf(cases[slot] as ParityCase, slot, step - slot, given)),
    );
    for (const [index, slot] of active.entries()) {
      given[slot]?.push(argMax(results[index]));
      if (!isActive(cases[slot] as ParityCase, step + 1 - slot)) runner.release(slot);
    }
  }
  assert.deepEqual(
    given,
    cases.map(({ ids }) => ids),
  );
}

function isActive({ ids }: ParityCase, step: number): boolean {
  return step >= 0 && step < ids.length;
}

function rowOf({ prompt }: ParityCase, slot: number, step: number, given: readonly (readonly number[])[]) {
  if (step === 0) return { slot, tokens: Int32Array.from(prompt), past: 0 };
  return { slot, tokens: Int32Array.of(given[slot]?.at(-1) as number), past: prompt.length + step - 1 };
}

function argMax(row: Float32Array | undefined): number {
  assert.ok(row);
  return row.reduce((best, value, index) => (value > (row[best] as number) ? index : best), 0);
}

function assertClose(given: Float32Array, expected: readonly number[], what: string): void {
  assert.equal(given.length, expected.length, `${what}: vocabulary`);
  const worst = expected.reduce((most, value, i) => Math.max(most, Math.abs(value - (given[i] as number))), 0);
  assert.ok(worst < LOGITS_TOLERANCE, `${what} differ by ${worst}`);
}
