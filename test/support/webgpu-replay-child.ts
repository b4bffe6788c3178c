/** Captured and replayed runs of ONNX Runtime itself, in a process with a GPU in software; says in JSON what came of them. */
import { OrtBinding, OrtMemory, OrtRunOptions, OrtSession, OrtTensor } from "../../native/ort.js";
import { twoNodeModel } from "../../native/ort-models.js";
import type { ReplayChoice } from "../../src/protocol.js";
import { findGraphFile } from "../../src/runtime/files/graph-file.js";
import { reasonOf } from "../../src/runtime/files/json-file.js";
import { openModelDirectory } from "../../src/runtime/files/model-directory.js";
import { prepareGraph } from "../../src/runtime/graph/prepare-graph.js";
import { whyNotCaptured } from "../../src/runtime/native/capturing-session.js";
import { createNativeRunner, type DeviceParts } from "../../src/runtime/native/native-runner.js";
import { startOrt } from "../../src/runtime/native/native-session.js";
import { useWebGpu } from "./webgpu.js";

export interface WebGpuReport {
  /** Of `z = (x + y) * x` with y = 10: the first element after each run. */
  readonly runs: Readonly<Record<string, number>>;
  readonly replayed: Played;
  /** With logits in the CPU's memory, where replays do not bring them. */
  readonly misplaced: Played;
  /** Why a graph that counts its lengths from a mask is not captured. */
  readonly obstacle: string | undefined;
}

interface Played {
  /** Batches that were captured. */
  readonly captures: number;
  /** From the CPU's logits. */
  readonly error: number;
  readonly replay: ReplayChoice | undefined;
}

const CPU = { requested: "cpu", provider: "cpu", reason: "" } as const;
const GRAPH_ID = "gpu_graph_id";
const PROMPT = Int32Array.of(5, 4, 7, 30, 21);
const STEPS = 26;
const ROWS = 4;
/** Its directory; a GPU in software takes its time. */
const MODEL = process.argv[2] ?? "";

function open(lengths: boolean, parts: Partial<DeviceParts>) {
  const directory = openModelDirectory(MODEL);
  const graph = prepareGraph(findGraphFile(directory.path, "fp32", "cpu"), { lengths });
  return createNativeRunner({ directory, graph, device: CPU, threads: 1, maxSequences: ROWS }, parts);
}

/** Three sequences of different lengths, which a spare row makes four; then again in a cache that has moved. */
async function play(parts: Partial<DeviceParts>) {
  const runner = await open(true, parts);
  const logits: Float32Array[] = [];
  for (const capacity of [48, 64]) {
    const held = [0, 0, 0];
    const feed = async (slots: readonly number[], tokens: Int32Array): Promise<void> => {
      const rows = await runner.run(slots.map((slot) => ({ slot, tokens, past: held[slot] as number })));
      for (const slot of slots) held[slot] = (held[slot] as number) + tokens.length;
      logits.push(...rows.map((row) => row.all().slice()));
    };
    runner.reserve(ROWS, capacity);
    for (let step = 0; step < STEPS; step++) {
      const slots = [0, 1, 2].slice(0, 1 + Math.floor(step / 2));
      await feed(slots, Int32Array.of((step * 37) % 32));
      // A prompt can be in the first row alone.
      if (step === STEPS - 4) await feed([0], PROMPT);
    }
    for (const slot of [0, 1, 2]) runner.release(slot);
  }
  return { logits, replay: runner.device.replay };
}

async function compare(expected: readonly Float32Array[], parts: Partial<DeviceParts>): Promise<Played> {
  const { create } = OrtRunOptions;
  let captures = 0;
  OrtRunOptions.create = (environment, entries) => {
    if (Number(entries?.[GRAPH_ID]) > 0) captures++;
    return create.call(OrtRunOptions, environment, entries);
  };
  const { logits, replay } = await play(parts);
  OrtRunOptions.create = create;
  const errors = logits.flatMap((row, step) =>
    Array.from(row, (value, id) => Math.abs(value - (expected[step]?.[id] ?? 0))),
  );
  return { error: errors.reduce((most, error) => Math.max(most, error), 0), captures, replay };
}

async function twoNodes(parts: DeviceParts): Promise<Record<string, number>> {
  const environment = await startOrt();
  const session = await OrtSession.create(environment, twoNodeModel([2]), { threads: 1 });
  const inputs = parts.openInputs(session);
  const logits = await parts.openLogits(session, { logits: { type: "float32" } } as never);
  const host = OrtMemory.cpu(environment);
  if (inputs === undefined) throw new Error("a session on the CPU");
  const tensor = (value: number) => {
    const [here, there] = [host, inputs.memory].map((memory) => OrtTensor.allocate(memory, "float32", [2]));
    const set = (next: number): void => {
      here?.data.fill(next as never);
      inputs.send([{ source: here as OrtTensor, target: there as OrtTensor, from: 0, size: 2 }]);
    };
    set(value);
    return { there: there as OrtTensor<"float32">, set };
  };
  const [x, y, z, otherX, otherZ] = [tensor(1), tensor(10), tensor(0), tensor(2), tensor(0)] as const;
  const binding = (from: typeof x, to: typeof x): OrtBinding => {
    const made = OrtBinding.create(session);
    made.bindInput("x", from.there);
    made.bindInput("y", y.there);
    made.bindOutput("z", to.there);
    return made;
  };
  const [one, other] = [binding(x, z), binding(otherX, otherZ)];
  const options = (id: number) => OrtRunOptions.create(environment, { [GRAPH_ID]: String(id) });
  const [first, second, plain] = [options(1), options(2), options(-1)];
  const said = (tensor: typeof x): number => logits.read(tensor.there, 0, 2)[0] as number;
  const runs: Record<string, number> = {};
  one.run(first);
  runs["captured, x is 1"] = said(z);
  x.set(2);
  one.run(first);
  runs["replayed, x is 2"] = said(z);
  x.set(3);
  other.run(first);
  runs["replayed through another binding: its own output"] = said(otherZ);
  runs["replayed through another binding: the captured output, x is 3"] = said(z);
  other.run(second);
  runs["captured under another id, x is 2"] = said(otherZ);
  otherX.set(4);
  other.run(plain);
  runs["not replayed, x is 4"] = said(otherZ);
  one.run(first);
  runs["replayed after that, x is 3"] = said(z);
  return runs;
}

const expected = await play({});
const parts = useWebGpu();
const report: WebGpuReport = {
  runs: await twoNodes(parts),
  replayed: await compare(expected.logits, parts),
  misplaced: await compare(expected.logits, { openCache: parts.openCache, openInputs: parts.openInputs }),
  obstacle: await open(false, parts).then(
    () => undefined,
    (error: unknown) => whyNotCaptured(reasonOf(error)),
  ),
};
process.stdout.write(JSON.stringify(report), () => process.exit(0));
