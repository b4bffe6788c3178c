import { dims, fields, tokenShape } from "./shapes.js";

/**
 * What a forward pass is for: `prefill` reads a prompt or a part of it, `decode` computes one more token of each sequence,
 * `encode` reads an encoder's input before either. None for models that do not generate.
 */
export type Phase = "prefill" | "decode" | "encode";

/** A model's forward pass, as its inputs tell. */
export interface ForwardPass {
  readonly phase?: Phase;
  /** Sequences, or images, of the batch. */
  readonly rows: number;
  /** Tokens of all rows that the pass reads. */
  readonly tokens?: number;
  readonly images?: ImageInput;
}

/** A pass whose inputs cannot be read. */
export const UNKNOWN_PASS: ForwardPass = { rows: 1 };

export interface ImageInput {
  readonly count: number;
  /** `640x480`, where all have one size. */
  readonly resolution?: string;
}

const TOKENS = ["decoder_input_ids", "input_ids", "inputs_embeds", "decoder_inputs_embeds"];
/** What else may say how large the batch is. */
const BATCHED = ["pixel_values", "input_features", "input_values", "attention_mask"];

/** A pass of transformers.js, which keeps the cache as one object among the inputs. */
export function modelPass(inputs: unknown, generates: boolean): ForwardPass {
  const cache = fields(inputs).past_key_values;
  return describe(inputs, generates ? Object.keys(fields(cache)).length > 0 : undefined);
}

/**
 * A run of a session: its cache is inputs `past…`, of no length at first. A decoder that has both branches in one graph is
 * told by a switch which it is to take.
 */
export function sessionPass(feeds: unknown): ForwardPass {
  const inputs = fields(feeds);
  const past = Object.keys(inputs).filter((name) => name.startsWith("past"));
  if (past.length === 0) return describe(inputs, undefined);
  const branch = fields(fields(inputs.use_cache_branch).data)[0];
  const filled = past.every((name) => dims(inputs[name])?.includes(0) === false);
  return describe(inputs, filled && (branch === undefined || Boolean(branch)));
}

/** `cached`: whether earlier tokens are in a cache; undefined where there is none. */
function describe(inputs: unknown, cached: boolean | undefined): ForwardPass {
  const values = fields(inputs);
  const named = TOKENS.find((name) => tokenShape(values[name]) !== undefined);
  const shape = named === undefined ? undefined : tokenShape(values[named]);
  const images = imageInput(values);
  const batched = BATCHED.map((name) => dims(values[name])?.[0]).find((rows) => rows !== undefined);
  return {
    ...(cached === undefined ? {} : { phase: cached && (shape?.length ?? 1) === 1 ? "decode" : "prefill" }),
    rows: shape?.rows ?? batched ?? 1,
    ...(shape === undefined ? {} : { tokens: shape.rows * shape.length }),
    ...(images === undefined ? {} : { images }),
  };
}

/**
 * Images among a model's inputs. Where they are cut into tiles or patches and nothing says how many there were, tiles
 * count as images and patches not at all.
 */
export function imageInput(inputs: unknown): ImageInput | undefined {
  const { pixel_values, image_grid_thw } = fields(inputs);
  const grids = dims(image_grid_thw)?.[0];
  if (grids !== undefined) return { count: grids };
  const shape = dims(pixel_values);
  if (shape === undefined || (shape.length !== 4 && shape.length !== 5)) return undefined;
  const count = shape.slice(0, -3).reduce((product, one) => product * one, 1);
  return { count, resolution: `${shape.at(-1)}x${shape.at(-2)}` };
}
