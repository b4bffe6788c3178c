/** Decode steps on ONNX Runtime's own CUDA provider, over CUDA's libraries made on the spot; says in JSON what they did. */
import { loadOrtLibrary } from "../../native/ort-library.js";
import type { ReplayChoice } from "../../src/protocol.js";
import { findGraphFile } from "../../src/runtime/files/graph-file.js";
import { openModelDirectory, resolveModelDirectory } from "../../src/runtime/files/model-directory.js";
import { feedLengths } from "../../src/runtime/graph/attention-lengths.js";
import { type PreparedGraph, prepareGraph, readGraph, rewriteWith } from "../../src/runtime/graph/prepare-graph.js";
import { openLogitsMemory } from "../../src/runtime/native/logits-memory.js";
import { createNativeRunner } from "../../src/runtime/native/native-runner.js";
import { type CudaCounts, cudaCounts } from "./cuda-runtime-stub.js";

export interface CudaReplayReport {
  /** What each step did, and whether that is what it was told to do. */
  readonly steps: Readonly<Record<string, CudaCounts>>;
  readonly replay: Readonly<Record<string, ReplayChoice | undefined>>;
}

const [library = "", folder = "", counting = ""] = process.argv.slice(2);
const STEPS_BEFORE = 16;

loadOrtLibrary(library);
const counts = cudaCounts(folder);

async function open(directoryPath: string, graph: PreparedGraph) {
  const directory = openModelDirectory(directoryPath);
  const runtime = { requested: "native", kind: "native", reason: "" } as const;
  const device = { requested: "cuda", provider: "cuda", deviceId: 0, reason: "", runtime } as const;
  return createNativeRunner(
    { directory, graph, device, threads: 1, maxSequences: 4 },
    {
      // Kernels that compute nothing leave logits that are all the same, and nothing can be told from those.
      openLogits: async (session, signature) => ({
        ...(await openLogitsMemory(session, signature)),
        read: (_logits, _from, size) => Float32Array.from({ length: size }, (_, id) => id % 7),
      }),
    },
  );
}

const tiny = resolveModelDirectory("tiny");
const prepared = (path: string, dtype: "fp16" | "fp32" | "q4f16") =>
  prepareGraph(findGraphFile(path, dtype, "cuda"), { lengths: true });
const runner = await open(tiny, prepared(tiny, "fp16"));
const steps: Record<string, CudaCounts> = {};
const held = [0, 0, 0];

async function feed(name: string, slots: readonly number[], count = 1): Promise<void> {
  const before = counts();
  await runner.run(slots.map((slot) => ({ slot, tokens: new Int32Array(count), past: held[slot] as number })));
  for (const slot of slots) held[slot] = (held[slot] as number) + count;
  const after = counts();
  const spent = Object.entries(before).map(([what, number]) => [what, after[what as keyof CudaCounts] - number]);
  steps[name] = Object.fromEntries(spent);
}

async function settle(slots: readonly number[]): Promise<void> {
  for (let step = 0; step < STEPS_BEFORE; step++) await feed("plain", slots);
  await feed("captured", slots);
  await feed("proved", slots);
}

runner.reserve(4, 256);
await feed("prompt", [0], 3);
await settle([0]);
await feed("replayed", [0]);
await feed("prompt between", [1], 3);
// The fourth replay.
await feed("proved again", [0]);
await feed("replayed after it", [0]);
await settle([0, 1, 2]);
await feed("replayed with a spare row", [0, 1, 2]);
runner.reserve(4, 512);
await feed("after the cache has grown", [0]);

const choices = {
  fp16: runner,
  q4f16: await open(tiny, prepared(tiny, "q4f16")),
  fp32: await open(tiny, prepared(tiny, "fp32")),
  counting: await open(counting, prepared(counting, "fp16")),
  "counting with its Neg": await open(
    counting,
    rewriteWith(readGraph(findGraphFile(counting, "fp16", "cuda")), [feedLengths]),
  ),
};
const report: CudaReplayReport = {
  steps,
  replay: Object.fromEntries(Object.entries(choices).map(([name, { device }]) => [name, device.replay])),
};
process.stdout.write(JSON.stringify(report), () => process.exit(0));
