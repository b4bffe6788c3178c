import type { ModelDescription } from "../protocol.js";

const MEBIBYTE = 2 ** 20;

/** The model as far as its KV cache's memory, of this many tokens, holds one request of its context's length. */
export function heldContext(model: ModelDescription, kvTokens = Number.POSITIVE_INFINITY): ModelDescription {
  const { contextLength, kvBytesPerToken, warnings = [] } = model;
  if (kvTokens >= contextLength) return model;
  const needed = Math.ceil((contextLength * kvBytesPerToken) / MEBIBYTE);
  const warning =
    `The model's context is ${contextLength} tokens, of which the KV cache's memory holds ${kvTokens}: longer requests are refused. ` +
    `The whole context takes ${needed}M (--kv-memory).`;
  return { ...model, contextLength: kvTokens, warnings: [...warnings, warning] };
}
