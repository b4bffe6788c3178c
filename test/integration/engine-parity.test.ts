/**
 * Graphs of the real exporters give PyTorch's greedy ids through the engine, too: side by side, with prompts in small
 * chunks, with prefixes taken over, with caches given up and computed again, and with guesses.
 */
import assert from "node:assert/strict";
import { Engine, type EngineLimits } from "../../src/engine/engine.js";
import type { ModelRunner } from "../../src/engine/runner.js";
import { type DeviceChoice, type EngineEvent, type EngineRequest, monotonicMicros } from "../../src/protocol.js";
import { openModelDirectory } from "../../src/runtime/files/model-directory.js";
import { prepareGraph } from "../../src/runtime/graph/prepare-graph.js";
import { createNativeRunner } from "../../src/runtime/native/native-runner.js";
import { createNodeRunner } from "../../src/runtime/node/node-runner.js";
import { engineRequest, story, tokensOf } from "../support/engine-requests.js";
import { dtypeOf, type ParityCase, type ParityGraph, parityGraphs } from "./parity-fixtures.js";

const CPU: DeviceChoice = { requested: "cpu", provider: "cpu", reason: "The CPU was asked for." };
const SLOTS = 4;
const CANDIDATES = { native: createNativeRunner, node: createNodeRunner } as const;
/** Dynamic quantization takes one scale over all positions of a run: what is fed together changes the result. */
const FED_TOGETHER_MATTERS = /int8/;

/** Runs in which guesses were fed along, over all graphs. */
let guesses = 0;

/** No runner here takes bfloat16; the graphs' own test runs them widened. */
const WIDENED = /widened/;

for (const kind of ["native", "node"] as const) {
  for (const graph of parityGraphs()) {
    if (!FED_TOGETHER_MATTERS.test(graph.file) && !WIDENED.test(graph.reference)) describeGraph(kind, graph);
  }
}

function describeGraph(kind: keyof typeof CANDIDATES, graph: ParityGraph): void {
  describe(`the engine over the ${kind} runner on ${graph.name}`, () => {
    let runner: ModelRunner;
    before(async () => {
      runner = await load(kind, graph);
    });
    after(() => runner?.dispose());
    const longest = graph.cases.reduce((a, b) => (lengthOf(b) > lengthOf(a) ? b : a));

    it("gives PyTorch's ids one after another, and with the prefix kept from the time before", async () => {
      const pairs = graph.cases.flatMap(({ prompt, ids }, i) => [
        request(`${i}`, prompt, ids.length),
        request(`again ${i}`, prompt, ids.length),
      ]);
      const events = await play(runner, pairs, 1);
      check(graph, events);
      check(graph, events, "again ");
      const reused = events.flatMap((event) => (event.type === "admitted" ? [event.allocation.reusedTokens] : []));
      const again = reused.filter((_, i) => i % 2 === 1);
      // A runner that cannot go back takes no part of what it kept.
      const expected = graph.cases.map(({ prompt }) => (runner.rewinds ? prompt.length - 1 : 0));
      assert.deepEqual(again, expected);
    });

    it("gives them side by side, prompts fed in chunks of seven", async () => {
      check(graph, await play(runner, requestsOf(graph), SLOTS, { prefillChunk: 7 }));
    });

    it("gives them where streams have to give up their cache", async () => {
      // Room for one whole sequence and half of another.
      const kvTokens = Math.ceil(lengthOf(longest) * 1.5);
      const twice = [requestsOf(graph), requestsOf(graph, "again ")].flat();
      check(graph, await play(runner, twice, SLOTS, { kvTokens, prefillChunk: 16 }));
    });

    if (kind === "node" || dtypeOf(graph.file) !== "fp32") return;
    it("gives them with guesses fed along, which it does not make for two at once", async () => {
      const counting = countGuesses(runner);
      check(graph, await play(counting, requestsOf(graph), 1));
      const whole = [...longest.prompt, ...longest.ids];
      const quoting = request("quoting", [...whole, ...whole, ...longest.prompt], 24);
      const alone = await play(counting, [quoting], 1);
      const beside = await play(runner, [quoting, request("beside", longest.prompt, 40)], SLOTS);
      assert.deepEqual(tokensOf(alone, "quoting"), tokensOf(beside, "quoting"));
    });
  });
}

describe("the engine's guesses", () => {
  it("are fed along on some graph", () => assert.ok(guesses > 0, "no guess was made"));
});

/** The runner, its runs with guesses counted. */
function countGuesses(runner: ModelRunner): ModelRunner {
  return {
    ...{ model: runner.model, device: runner.device, rewinds: runner.rewinds },
    run: (rows) => {
      if (rows.some(({ tokens, logits = 1 }) => logits > 1 && tokens.length === logits)) guesses++;
      return runner.run(rows);
    },
    reserve: (rows, tokens) => runner.reserve(rows, tokens),
    copy: (from, to, tokens) => runner.copy(from, to, tokens),
    release: (slot) => runner.release(slot),
    dispose: () => runner.dispose(),
  };
}

function load(kind: keyof typeof CANDIDATES, graph: ParityGraph): Promise<ModelRunner> {
  const file = { path: graph.path, dtype: dtypeOf(graph.file), weightBytes: 0 };
  const directory = openModelDirectory(graph.directory);
  const { ropeSwitch } = directory.config;
  const attention = kind === "native" ? directory.config : undefined;
  return CANDIDATES[kind]({
    directory,
    // Recorded with the activations that the file asks for.
    graph: prepareGraph(file, { fastInt4: false, attention, ropeSwitch }),
    device: CPU,
    threads: 1,
    maxSequences: SLOTS,
  });
}

function request(id: string, prompt: readonly number[], maxTokens: number): EngineRequest {
  return engineRequest({ id, prompt: Int32Array.from(prompt), maxTokens });
}

function requestsOf({ cases }: ParityGraph, name = ""): EngineRequest[] {
  return cases.map(({ prompt, ids }, i) => request(`${name}${i}`, prompt, ids.length));
}

function lengthOf({ prompt, ids }: ParityCase): number {
  return prompt.length + ids.length;
}

/** Runs the requests through an engine of its own; what the runner held before is let go. */
async function play(
  runner: ModelRunner,
  requests: readonly EngineRequest[],
  maxSequences: number,
  limits: Partial<EngineLimits> = {},
): Promise<EngineEvent[]> {
  const events: EngineEvent[] = [];
  let left = requests.length;
  const engine = new Engine({
    runner,
    maxSequences,
    ...limits,
    clock: monotonicMicros,
    turn: async () => engine.checkInvariants(),
    emit: (batch) => {
      events.push(...batch);
      left -= batch.filter(({ type }) => type === "ended").length;
      if (left === 0) engine.dispatch({ type: "shutdown" });
    },
  });
  for (const one of requests) engine.dispatch({ type: "submit", request: one });
  await engine.run();
  for (let slot = 0; slot < SLOTS; slot++) runner.release(slot);
  return events;
}

function check({ cases, file }: ParityGraph, events: readonly EngineEvent[], name = ""): void {
  for (const [i, { ids }] of cases.entries()) {
    const id = `${name}${i}`;
    assert.equal(story(events, id).at(-1), "finished length", id);
    assert.deepEqual(tokensOf(events, id), ids, `${id} of ${file}`);
  }
}
