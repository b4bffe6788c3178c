import {
  OrtBinding,
  type OrtEnvironment,
  OrtMemory,
  OrtSession,
  OrtTensor,
  type TopType,
  topModel,
  topType,
} from "../../../native/ort.js";
import { TOP_LOGITS, type TopLogits } from "../../engine/runner.js";
import { toFloat32 } from "../floats/floats.js";
import type { FloatType } from "../signature/graph-signature.js";
import type { LogitsMemory } from "./logits-memory.js";

export interface DeviceLogitsOptions {
  readonly type: FloatType;
  readonly vocabSize: number;
}

/** The choice of the likeliest of some rows, bound once. */
interface Choice {
  readonly source: OrtTensor<FloatType>;
  readonly first: number;
  readonly rows: number;
  readonly binding: OrtBinding;
  /** In this process's memory. */
  readonly logits: OrtTensor<TopType<FloatType>>;
  readonly ids: OrtTensor<"int32">;
}

/**
 * Logits in a device's memory. The likeliest are chosen there, by a graph of one operator that reads them where the
 * model's run left them: some hundred bytes a row cross the bus, instead of some hundred thousand.
 */
export class DeviceLogits implements LogitsMemory {
  readonly memory: OrtMemory;
  readonly #options: DeviceLogitsOptions;
  readonly #session: OrtSession;
  readonly #host: OrtMemory;
  /** Of the last call: the sequences that decode mostly stay the same. */
  #choice: Choice | undefined;

  private constructor(memory: OrtMemory, options: DeviceLogitsOptions, session: OrtSession) {
    this.memory = memory;
    this.#options = options;
    this.#session = session;
    this.#host = OrtMemory.cpu(session.environment);
  }

  /** Takes over `memory`, where it succeeds, and runs in its stream. Throws as `OrtSession.create` does. */
  static async open(
    environment: OrtEnvironment,
    memory: OrtMemory,
    options: DeviceLogitsOptions,
  ): Promise<DeviceLogits> {
    const graph = topModel(options.type, Math.min(TOP_LOGITS, options.vocabSize));
    const onDevice = memory.stream === undefined ? {} : { stream: memory.stream };
    return new DeviceLogits(memory, options, await OrtSession.create(environment, graph, { threads: 1, ...onDevice }));
  }

  read(logits: OrtTensor<FloatType>, from: number, size: number): Float32Array {
    return toFloat32(logits.type, logits.read(from, size));
  }

  top(source: OrtTensor<FloatType>, first: number, rows: number): readonly TopLogits[] {
    const { binding, logits, ids } = this.#choiceOf(source, first, rows);
    binding.run();
    const kept = ids.size / rows;
    return Array.from({ length: rows }, (_, row) => ({
      ids: ids.data.slice(row * kept, (row + 1) * kept),
      logits: toFloat32(logits.type, logits.data.subarray(row * kept, (row + 1) * kept)),
    }));
  }

  forget(): void {
    for (const used of [this.#choice?.binding, this.#choice?.logits, this.#choice?.ids]) used?.dispose();
    this.#choice = undefined;
  }

  dispose(): void {
    this.forget();
    for (const used of [this.#session, this.#host, this.memory]) used.dispose();
  }

  #choiceOf(source: OrtTensor<FloatType>, first: number, rows: number): Choice {
    const last = this.#choice;
    if (last?.source === source && last.first === first && last.rows === rows) return last;
    this.forget();
    const { type, vocabSize } = this.#options;
    const binding = OrtBinding.create(this.#session);
    const view = source.view(first * vocabSize, [rows, vocabSize]);
    const kept = Math.min(TOP_LOGITS, vocabSize);
    const logits = OrtTensor.allocate(this.#host, topType(type), [rows, kept]);
    const ids = OrtTensor.allocate(this.#host, "int32", [rows, kept]);
    binding.bindInput("logits", view);
    binding.bindOutput("top", logits);
    binding.bindOutput("ids", ids);
    view.dispose();
    this.#choice = { source, first, rows, binding, logits, ids };
    return this.#choice;
  }
}
