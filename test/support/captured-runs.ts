/**
 * What ONNX Runtime does with runs that are captured as a CUDA graph, done to runs on the CPU: of a run with a new id the
 * binding is kept (after two more runs, which come first there), and whatever is bound later, a run with that id is the
 * kept binding's. Seen the same in ONNX Runtime itself, with its WebGPU provider.
 */
import assert from "node:assert/strict";
import { OrtBinding, OrtEnvironment, OrtMemory, OrtRunOptions, type OrtTensor } from "../../native/ort.js";
import type { InputDevice } from "../../src/runtime/native/step-input.js";

const GRAPH_ID = "gpu_graph_id";
const RUNS_TO_CAPTURE = 3;

export interface CapturedRuns {
  /** Ids of runs in their order; -1 for one that is neither captured nor replayed. */
  readonly ids: number[];
  /** False: what was captured is replayed without an effect, as where what it writes is copied from a device after runs. */
  replays: boolean;
  /** Called before a captured or replayed run; may throw, as ONNX Runtime does. */
  before: (id: number) => void;
  /** ONNX Runtime's own ways back. */
  restore(): void;
}

export function captureRuns(): CapturedRuns {
  const { create } = OrtRunOptions;
  const { run, runAsync } = OrtBinding.prototype;
  const idOf = new WeakMap<OrtRunOptions, number>();
  const captured = new Map<number, OrtBinding>();
  const runs: CapturedRuns = {
    ids: [],
    replays: true,
    before: () => {},
    restore: () => {
      OrtRunOptions.create = create;
      Object.assign(OrtBinding.prototype, { run, runAsync });
    },
  };
  OrtRunOptions.create = (environment, entries = {}) => {
    const options = create.call(OrtRunOptions, environment, entries);
    if (entries[GRAPH_ID] !== undefined) idOf.set(options, Number(entries[GRAPH_ID]));
    return options;
  };
  const idFor = (options: OrtRunOptions | undefined): number | undefined => options && idOf.get(options);
  OrtBinding.prototype.run = function (options) {
    const id = idFor(options);
    // The graphs that this folder makes for itself are run without options.
    if (id !== undefined) runs.ids.push(id);
    if (id === undefined || id === -1) return run.call(this, options);
    runs.before(id);
    const kept = captured.get(id);
    if (kept !== undefined && !runs.replays) return;
    captured.set(id, kept ?? this);
    for (let count = kept === undefined ? RUNS_TO_CAPTURE : 1; count > 0; count--) run.call(kept ?? this, options);
  };
  OrtBinding.prototype.runAsync = function (options) {
    assert.equal(idFor(options), -1, "a captured run has to stay on its thread");
    runs.ids.push(-1);
    return runAsync.call(this, options);
  };
  return runs;
}

/** A device's memory for inputs, which is the CPU's: what is not sent there does not arrive. */
export function standInDevice(reads: (input: string) => boolean = () => true): InputDevice {
  const elements = ({ data }: OrtTensor) => data as unknown as { set(from: ArrayLike<unknown>, at: number): void };
  return {
    memory: OrtMemory.cpu(OrtEnvironment.open()),
    reads,
    send: (copies) => {
      for (const { source, target, from, size } of copies) {
        elements(target).set(source.data.subarray(from, from + size), from);
      }
    },
  };
}
