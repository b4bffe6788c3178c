import { readFileSync } from "node:fs";

/** The sizes of a Llama-like decoder: grouped-query attention, gated feed-forward, output head tied to the embedding. */
export interface DecoderShape {
  readonly hidden: number;
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly feedForward: number;
  readonly vocab: number;
  readonly context: number;
  readonly ropeTheta: number;
  /** Biases on the projections to queries, keys and values, as Qwen2 has them. */
  readonly attentionBias: boolean;
}

/** Qwen2.5-0.5B; the context is cut to what the benchmark uses. */
export const HALF_BILLION: DecoderShape = {
  hidden: 896,
  layers: 24,
  heads: 14,
  kvHeads: 2,
  headDim: 64,
  feedForward: 4864,
  vocab: 151936,
  context: 4096,
  ropeTheta: 1e6,
  attentionBias: true,
};

export interface Projection {
  readonly name: "q" | "k" | "v" | "o" | "gate" | "up" | "down";
  readonly inputs: number;
  readonly outputs: number;
  readonly bias: boolean;
}

/** The matrices of one layer, in the order they are multiplied. */
export function projectionsOf(shape: DecoderShape): Projection[] {
  const { hidden, heads, kvHeads, headDim, feedForward, attentionBias: bias } = shape;
  return [
    { name: "q", inputs: hidden, outputs: heads * headDim, bias },
    { name: "k", inputs: hidden, outputs: kvHeads * headDim, bias },
    { name: "v", inputs: hidden, outputs: kvHeads * headDim, bias },
    { name: "o", inputs: heads * headDim, outputs: hidden, bias: false },
    { name: "gate", inputs: hidden, outputs: feedForward, bias: false },
    { name: "up", inputs: hidden, outputs: feedForward, bias: false },
    { name: "down", inputs: feedForward, outputs: hidden, bias: false },
  ];
}

/** Weights that one decode step reads: every matrix of every layer and the output head. */
export function weightsPerToken(shape: DecoderShape): number {
  const layer = projectionsOf(shape).reduce((sum, { inputs, outputs }) => sum + inputs * outputs, 0);
  return layer * shape.layers + shape.vocab * shape.hidden;
}

/** The shape of a Llama model on disk, from its config.json. */
export function readShape(configPath: string): DecoderShape {
  const config = JSON.parse(readFileSync(configPath, "utf8")) as Record<string, number>;
  const field = (name: string): number => {
    const value = config[name];
    if (typeof value !== "number") throw new Error(`${configPath} has no number "${name}"`);
    return value;
  };
  return {
    hidden: field("hidden_size"),
    layers: field("num_hidden_layers"),
    heads: field("num_attention_heads"),
    kvHeads: field("num_key_value_heads"),
    headDim: field("head_dim"),
    feedForward: field("intermediate_size"),
    vocab: field("vocab_size"),
    context: field("max_position_embeddings"),
    ropeTheta: field("rope_theta"),
    attentionBias: false,
  };
}
