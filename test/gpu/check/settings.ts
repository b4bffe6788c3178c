import { type DecoderShape, HALF_BILLION } from "../../bench/model/decoder-shape.js";

/** What is measured on which device. */
export interface CheckSettings {
  readonly device: "cuda:0" | "cpu";
  readonly shape: DecoderShape;
  /** Sequences side by side, ascending. */
  readonly streams: readonly number[];
  /** Tokens of each stream's prompt. */
  readonly context: number;
  /** Tokens of each stream that are measured. */
  readonly steps: number;
  /** The same through the node runner, whose steps copy every stream's cache. */
  readonly nodeSteps: number;
  /** Tokens whose ids are compared with the CPU's. */
  readonly greedyTokens: number;
  /** Bytes of the tensor that is copied to measure the device's memory. */
  readonly copyBytes: number;
  /** Tokens of an answer of the service. */
  readonly answerTokens: number;
}

const CUDA: CheckSettings = {
  device: "cuda:0",
  shape: HALF_BILLION,
  streams: [1, 4, 16, 64],
  context: 1024,
  steps: 64,
  nodeSteps: 8,
  greedyTokens: 128,
  copyBytes: 2 ** 30,
  answerTokens: 128,
};

const REHEARSAL: CheckSettings = {
  device: "cpu",
  shape: {
    ...{ hidden: 128, layers: 2, heads: 4, kvHeads: 2, headDim: 32, feedForward: 256, vocab: 1024, context: 512 },
    ...{ ropeTheta: 1e6, attentionBias: true },
  },
  streams: [1, 4, 16, 64],
  context: 32,
  steps: 8,
  nodeSteps: 4,
  greedyTokens: 24,
  copyBytes: 2 ** 26,
  answerTokens: 16,
};

/** On the CPU a small model goes the same way: a rehearsal, whose numbers say nothing. */
export const settingsFor = (device: CheckSettings["device"]): CheckSettings => (device === "cpu" ? REHEARSAL : CUDA);
