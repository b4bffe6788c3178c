import type { InferenceSession, OnnxValue, Tensor, TensorConstructor } from "onnxruntime-node";
import { withoutHostname } from "../../../native/native-error.js";
import type { ModelRunner, RowLogits, RunnerRow } from "../../engine/runner.js";
import { VitrineError } from "../../errors.js";
import type { DeviceChoice, ModelDescription } from "../../protocol.js";
import { describeModel } from "../describe-model.js";
import { reasonOf } from "../files/json-file.js";
import type { ModelConfig } from "../files/model-config.js";
import type { ModelDirectory } from "../files/model-directory.js";
import { float16ToFloat32 } from "../floats/float16.js";
import type { PreparedGraph } from "../graph/prepare-graph.js";
import { rotaryShift, withRopeSwitch } from "../rope-switch.js";
import { atHand } from "../row-logits.js";
import { type GraphSignature, type IdType, readGraphSignature } from "../signature/graph-signature.js";
import { unsupportedGraph } from "../signature/graph-value.js";
import { stepFailure, workOn } from "../step-failure.js";
import { createNodeSession, describeValues } from "./node-session.js";
import { loadOnnxRuntime } from "./onnxruntime.js";

export interface RunnerOptions {
  /** Looked at once there is a session: it may be read meanwhile. */
  readonly directory: ModelDirectory | Promise<ModelDirectory>;
  readonly graph: PreparedGraph;
  readonly device: DeviceChoice;
  /** Intra-op threads; 0 lets ONNX Runtime choose. */
  readonly threads: number;
  readonly maxSequences: number;
  /** Decode steps as CUDA graphs where the native runner can; true when absent. */
  readonly replay?: boolean;
}

/**
 * The plain runner: onnxruntime-node's own binding, past in and present out, one `session.run` a row. Each run blocks
 * the thread and copies the row's whole KV cache; between rows the event loop turns.
 */
export async function createNodeRunner(options: RunnerOptions): Promise<ModelRunner> {
  const session = await createNodeSession(options.graph, options.device, options.threads);
  try {
    const directory = await options.directory;
    const inputs = describeValues(session.inputMetadata);
    const signature = readGraphSignature(inputs, describeValues(session.outputMetadata), directory.config);
    if (signature.lengths !== undefined) {
      throw unsupportedGraph(`it wants "${signature.lengths.rows}", which the native runtime alone feeds`);
    }
    const { Tensor } = await loadOnnxRuntime();
    const model = describeModel(directory, options.graph, signature);
    const { ropeSwitch } = directory.config;
    return withRopeSwitch(
      new NodeRunner(session, signature, { ...options, ropeSwitch }, model, Tensor),
      signature,
      ropeSwitch,
    );
  } catch (error) {
    await session.release();
    throw error;
  }
}

/** One sequence's KV cache: a tensor for every entry of the signature's `cache`. */
interface Slot {
  length: number;
  tensors: readonly Tensor[];
}

class NodeRunner implements ModelRunner {
  readonly device: DeviceChoice;
  /** Present comes out of a run as a whole: there is no going back in it. */
  readonly rewinds = false;
  private readonly ropeSwitch: number | undefined;
  private readonly slots: (Slot | undefined)[];
  private readonly fetches: readonly string[];

  constructor(
    private readonly session: InferenceSession,
    private readonly signature: GraphSignature,
    options: RunnerOptions & Pick<ModelConfig, "ropeSwitch">,
    readonly model: ModelDescription,
    private readonly Tensor: TensorConstructor,
  ) {
    // onnxruntime-node returns what a run gives in this process's memory, from whatever device.
    this.device = { ...options.device, kvCache: "cpu" };
    this.ropeSwitch = options.ropeSwitch;
    this.slots = new Array<Slot | undefined>(options.maxSequences).fill(undefined);
    this.fetches = [signature.logits.name, ...signature.cache.map((entry) => entry.present)];
  }

  async run(rows: readonly RunnerRow[]): Promise<readonly RowLogits[]> {
    const logits: RowLogits[] = [];
    for (const row of rows) {
      logits.push(atHand(await (this.goesOneByOne(row) ? this.runOneByOne(row) : this.runRow(row))));
    }
    return logits;
  }

  /** Each run allocates what it needs. */
  reserve(): void {}

  copy(): never {
    throw failed("this runner cannot copy slots");
  }

  release(slot: number): void {
    const held = this.slots[slot];
    if (held === undefined) return;
    disposeAll(held.tensors);
    this.slots[slot] = undefined;
  }

  async dispose(): Promise<void> {
    for (const slot of this.slots.keys()) this.release(slot);
    await this.session.release();
  }

  /** The branch with a past of a merged decoder was traced with one token: it has no mask among several new ones. */
  private goesOneByOne({ past, tokens }: RunnerRow): boolean {
    return this.signature.useCacheBranch !== undefined && past > 0 && tokens.length > 1;
  }

  private async runOneByOne({ slot, tokens, past, logits = 1 }: RunnerRow): Promise<Float32Array> {
    const { vocabSize } = this.model;
    const wanted = new Float32Array(logits * vocabSize);
    const firstWanted = tokens.length - logits;
    for (let index = 0; index < tokens.length; index++) {
      const last = await this.runRow({ slot, tokens: tokens.subarray(index, index + 1), past: past + index });
      if (index >= firstWanted) wanted.set(last, (index - firstWanted) * vocabSize);
    }
    return wanted;
  }

  private async runRow(row: RunnerRow): Promise<Float32Array> {
    this.checkRow(row);
    if (row.past === 0) this.release(row.slot);
    const past = this.slots[row.slot]?.tensors ?? this.emptyCache();
    const outputs = await this.runSession(row, past);
    const present = this.signature.cache.map((entry) => outputTensor(outputs, entry.present));
    disposeAll(past);
    this.slots[row.slot] = { length: row.past + row.tokens.length, tensors: present };
    return this.lastLogits(outputTensor(outputs, this.signature.logits.name), row.logits ?? 1);
  }

  /** The scheduler keeps these; breaking one would corrupt a sequence silently. */
  private checkRow(row: RunnerRow): void {
    const { slot, tokens, past } = row;
    const { vocabSize, contextLength } = this.model;
    const end = past + tokens.length;
    if (!(slot in this.slots)) throw failed(`slot ${slot} is not one of ${this.slots.length}`);
    if (tokens.length === 0) throw failed(`slot ${slot} was given no tokens`);
    if (end > contextLength) throw failed(`slot ${slot} would hold ${end} tokens; the context is ${contextLength}`);
    const held = this.slots[slot]?.length ?? 0;
    if (past !== 0 && past !== held) throw failed(`slot ${slot} holds ${held} tokens, not ${past}`);
    if (tokens.some((id) => id < 0 || id >= vocabSize))
      throw failed(`a token id is outside the vocabulary of ${vocabSize}`);
  }

  private async runSession(row: RunnerRow, past: readonly Tensor[]): Promise<InferenceSession.OnnxValueMapType> {
    try {
      return await this.session.run(this.feeds(row, past), this.fetches);
    } catch (cause) {
      const reason = withoutHostname(reasonOf(cause));
      const error = new Error(`ONNX Runtime could not run the model: ${reason}`, { cause });
      throw stepFailure(error, workOn(this.device));
    }
  }

  private feeds(row: RunnerRow, past: readonly Tensor[]): Record<string, OnnxValue> {
    const { inputIds, attentionMask, positionIds, rotaryPositions, logitsToKeep, useCacheBranch, cache } =
      this.signature;
    const length = row.tokens.length;
    const feeds: Record<string, OnnxValue> = {};
    feeds[inputIds.name] = this.ids(inputIds.type, [1, length], (i) => row.tokens[i] as number);
    if (attentionMask) feeds[attentionMask.name] = this.ids(attentionMask.type, [1, row.past + length], () => 1);
    if (positionIds) feeds[positionIds.name] = this.ids(positionIds.type, [1, length], (i) => row.past + i);
    if (rotaryPositions) {
      const first = row.past + rotaryShift(this.ropeSwitch, row.past + length);
      feeds[rotaryPositions.name] = this.ids(rotaryPositions.type, [1, length], (i) => first + i);
    }
    if (logitsToKeep) {
      const shape = new Array<number>(logitsToKeep.rank).fill(1);
      feeds[logitsToKeep.name] = this.ids(
        logitsToKeep.type,
        shape,
        () => logitsToKeep.sign * Math.max(1, row.logits ?? 1),
      );
    }
    if (useCacheBranch) feeds[useCacheBranch.name] = new this.Tensor("bool", [row.past > 0], [1]);
    for (const [index, entry] of cache.entries()) feeds[entry.past] = past[index] as Tensor;
    return feeds;
  }

  private ids(type: IdType, dims: readonly number[], valueAt: (index: number) => number): Tensor {
    const size = dims.reduce((product, dimension) => product * dimension, 1);
    const data = type === "int64" ? new BigInt64Array(size) : new Int32Array(size);
    if (data instanceof BigInt64Array) for (let i = 0; i < size; i++) data[i] = BigInt(valueAt(i));
    else for (let i = 0; i < size; i++) data[i] = valueAt(i);
    return new this.Tensor(type, data, dims);
  }

  private emptyCache(): Tensor[] {
    const { cacheType, cache } = this.signature;
    return cache.map(({ empty }) => {
      // Of a graph with bfloat16 the binding makes no session.
      if (cacheType === "float32") return new this.Tensor(cacheType, new Float32Array(0), empty);
      return new this.Tensor("float16", new Uint16Array(0), empty);
    });
  }

  /** The last rows of `[1, positions, vocabSize]`, in memory of their own: a prompt's logits can be hundreds of MB. */
  private lastLogits(logits: Tensor, count: number): Float32Array {
    const size = count * this.model.vocabSize;
    const start = logits.size - size;
    if (start < 0) throw failed(`the graph gives fewer than ${count} rows of logits`);
    const { buffer, byteOffset } = logits.data as Float32Array;
    const last =
      this.signature.logits.type === "float16"
        ? float16ToFloat32(new Uint16Array(buffer, byteOffset + start * 2, size))
        : new Float32Array(buffer, byteOffset + start * 4, size).slice();
    logits.dispose();
    return last;
  }
}

function outputTensor(outputs: InferenceSession.OnnxValueMapType, name: string): Tensor {
  return outputs[name] as Tensor;
}

function disposeAll(tensors: readonly Tensor[]): void {
  for (const tensor of tensors) tensor.dispose();
}

function failed(what: string): VitrineError {
  return new VitrineError("inference_failed", `A step was planned wrongly: ${what}.`);
}
