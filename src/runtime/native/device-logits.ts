import {
  OrtBinding,
  OrtCopier,
  OrtMemory,
  OrtSession,
  type OrtSessionOptions,
  OrtTensor,
  type TopType,
  topModel,
  topType,
} from "../../../native/ort.js";
import { TOP_LOGITS, type TopLogits } from "../../engine/runner.js";
import { toFloat32 } from "../floats.js";
import type { FloatType } from "../graph-signature.js";
import type { LogitsMemory } from "./logits-memory.js";

export interface DeviceLogitsOptions {
  readonly type: FloatType;
  readonly vocabSize: number;
  /** The device. */
  readonly session: OrtSessionOptions;
}

/** The choice of the likeliest of some rows, bound once. */
interface Choice {
  readonly source: OrtTensor<FloatType>;
  readonly first: number;
  readonly rows: number;
  readonly binding: OrtBinding;
  /** In this process's memory. */
  readonly logits: OrtTensor<TopType<FloatType>>;
  readonly ids: OrtTensor<"int64">;
}

/**
 * Logits in a device's memory. The likeliest are chosen there, by a graph of one operator that reads them where the
 * model's run left them: some hundred bytes a row cross the bus, instead of some hundred thousand.
 */
export class DeviceLogits implements LogitsMemory {
  readonly memory: OrtMemory;
  readonly #options: DeviceLogitsOptions;
  readonly #session: OrtSession;
  readonly #copier: OrtCopier<FloatType>;
  readonly #host: OrtMemory;
  /** In this process's memory, for what is read. */
  #arrival: OrtTensor<FloatType> | undefined;
  /** Of the last call: the sequences that decode mostly stay the same. */
  #choice: Choice | undefined;

  private constructor(
    memory: OrtMemory,
    options: DeviceLogitsOptions,
    session: OrtSession,
    copier: OrtCopier<FloatType>,
  ) {
    this.memory = memory;
    this.#options = options;
    this.#session = session;
    this.#copier = copier;
    this.#host = OrtMemory.cpu(session.environment);
  }

  /** Takes over `memory`, where it succeeds. Throws as `OrtSession.create` does. */
  static async open(model: OrtSession, memory: OrtMemory, options: DeviceLogitsOptions): Promise<DeviceLogits> {
    const { environment } = model;
    const { type, vocabSize } = options;
    const settings = { ...options.session, threads: 1 };
    const session = await OrtSession.create(environment, topModel(type, Math.min(TOP_LOGITS, vocabSize)), settings);
    try {
      return new DeviceLogits(memory, options, session, await OrtCopier.create(environment, type, settings));
    } catch (error) {
      session.dispose();
      throw error;
    }
  }

  read(logits: OrtTensor<FloatType>, from: number, size: number): Float32Array {
    if (this.#arrival === undefined || this.#arrival.size < size) {
      this.#arrival?.dispose();
      this.#arrival = OrtTensor.allocate(this.#host, this.#options.type, [size]);
    }
    this.#copier.copy(logits, from, this.#arrival, 0, size);
    const read = this.#arrival.data.subarray(0, size);
    // What is read next comes to the same place.
    return read instanceof Float32Array ? read.slice() : toFloat32(this.#options.type, read);
  }

  top(source: OrtTensor<FloatType>, first: number, rows: number): readonly TopLogits[] {
    const { binding, logits, ids } = this.#choiceOf(source, first, rows);
    binding.run();
    const kept = ids.size / rows;
    return Array.from({ length: rows }, (_, row) => ({
      ids: Int32Array.from(ids.data.subarray(row * kept, (row + 1) * kept), Number),
      logits: toFloat32(logits.type, logits.data.subarray(row * kept, (row + 1) * kept)),
    }));
  }

  dispose(): void {
    this.#dropChoice();
    for (const used of [this.#arrival, this.#copier, this.#session, this.#host, this.memory]) used?.dispose();
  }

  #choiceOf(source: OrtTensor<FloatType>, first: number, rows: number): Choice {
    const last = this.#choice;
    if (last?.source === source && last.first === first && last.rows === rows) return last;
    this.#dropChoice();
    const { type, vocabSize } = this.#options;
    const binding = OrtBinding.create(this.#session);
    const view = source.view(first * vocabSize, [rows, vocabSize]);
    const kept = Math.min(TOP_LOGITS, vocabSize);
    const logits = OrtTensor.allocate(this.#host, topType(type), [rows, kept]);
    const ids = OrtTensor.allocate(this.#host, "int64", [rows, kept]);
    binding.bindInput("logits", view);
    binding.bindOutput("top", logits);
    binding.bindOutput("ids", ids);
    view.dispose();
    this.#choice = { source, first, rows, binding, logits, ids };
    return this.#choice;
  }

  #dropChoice(): void {
    for (const used of [this.#choice?.binding, this.#choice?.logits, this.#choice?.ids]) used?.dispose();
    this.#choice = undefined;
  }
}
