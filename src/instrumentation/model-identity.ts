import { posix } from "node:path";
import type { SpanAttributes } from "../tracing/spans/open-span.js";
import { attempt } from "./attempt.js";
import { fields, finite, text } from "./shapes.js";

/** Which model it is, as far as it is known. */
export interface ModelIdentity {
  readonly name?: string;
  readonly dtype?: string;
  readonly device?: string;
}

const known = new WeakMap<object, ModelIdentity>();

/** Remembers what was loaded as `loaded`. */
export function remember(loaded: unknown, identity: ModelIdentity): void {
  if ((typeof loaded === "object" && loaded !== null) || typeof loaded === "function") known.set(loaded, identity);
}

/** What was remembered of a model or a session; for a model that was loaded before anybody watched, what it says itself. */
export function identityOf(model: unknown): ModelIdentity {
  return known.get(fields(model)) ?? attempt(() => ownIdentity(model), {});
}

function ownIdentity(model: unknown): ModelIdentity {
  const config = fields(fields(model).config);
  const name = text(config._name_or_path) ?? text(config.model_type);
  return name === undefined ? {} : { name: modelName(name) };
}

/** A hub's id stays; of a path, the directory's name: what is above it is nobody's business. */
export function modelName(id: string): string {
  const path = id.replaceAll("\\", "/");
  if (/^[\w.-]+(\/[\w.-]+)?$/.test(path) && !path.startsWith(".")) return path;
  return posix.basename(path) || "unknown";
}

/** `…/tiny/onnx/model_q4.onnx` is `tiny` in `q4`; a graph that lies elsewhere goes by its own name. */
export function graphIdentity(path: string): ModelIdentity {
  const { dir, name } = posix.parse(path.replaceAll("\\", "/"));
  const dtype = DTYPE.exec(name)?.[1];
  const folder = posix.basename(dir) === "onnx" ? posix.basename(posix.dirname(dir)) : "";
  return { name: folder === "" ? name : folder, ...(dtype === undefined ? {} : { dtype }) };
}

/** What files of the hub are called by. */
const DTYPE = /_(fp16|bf16|int8|uint8|quantized|q8|q4|q4f16|bnb4)$/;

/** What was asked for with `from_pretrained(name, options)`. */
export function pretrainedIdentity(name: unknown, options: unknown): ModelIdentity {
  const id = text(name);
  const { dtype, device } = attempt(() => ({ ...fields(options) }), {} as Readonly<Record<string, unknown>>);
  return {
    ...(id === undefined ? {} : { name: modelName(id) }),
    ...(typeof dtype === "string" ? { dtype } : {}),
    ...(typeof device === "string" ? { device } : {}),
  };
}

/** What the library chose by itself, as versions from 3 on say it of a loaded model's first session. */
export function chosenIdentity(model: unknown): ModelIdentity {
  const [first] = Object.values(fields(fields(model).sessions));
  return pretrainedIdentity(undefined, fields(first).config);
}

/** The first execution provider of a session's options; onnxruntime-node's own default is the CPU. */
export function sessionDevice(options: unknown): string {
  const providers = fields(options).executionProviders;
  const first: unknown = Array.isArray(providers) ? providers[0] : undefined;
  return text(first) ?? text(fields(first).name) ?? "cpu";
}

export function identityAttributes({ name, dtype, device }: ModelIdentity): SpanAttributes {
  return { "ai.model.name": name, "ai.model.dtype": dtype, "ai.device": device };
}

/** Sizes that a loaded model's config.json has. */
export function modelSizes(model: unknown): SpanAttributes {
  const outer = fields(fields(model).config);
  const config = { ...outer, ...fields(outer.text_config) };
  return {
    "ai.model.context_length": finite(config.max_position_embeddings) ?? finite(config.n_positions),
    "ai.model.layers": finite(config.num_hidden_layers) ?? finite(config.n_layer),
    "ai.model.vocab_size": finite(config.vocab_size),
  };
}
