import { VitrineError } from "../../errors.js";
import type { EngineRequest } from "../../protocol.js";

/** Its id is in use. */
export const taken = (): VitrineError =>
  new VitrineError("internal", "A request with the same id is still running; ids must be unique.");

/**
 * Why a request can never run, with a cache of `most` tokens; undefined where it can. Guards the invariants: the HTTP edge
 * has checked the same with a message for the caller.
 */
export function whyNever({ prompt, maxTokens }: EngineRequest, most: number): VitrineError | undefined {
  if (prompt.length < 1 || maxTokens < 1) {
    const message = "A request needs at least one prompt token and max_tokens of at least 1.";
    return new VitrineError("invalid_request", message);
  }
  if (prompt.length + maxTokens <= most) return undefined;
  return new VitrineError(
    "context_length_exceeded",
    `The prompt has ${prompt.length} tokens and max_tokens is ${maxTokens}, together more than the ${most} that the ` +
      "model's context and the KV cache's memory hold; shorten the prompt or lower max_tokens.",
  );
}

/** A sequence finds no memory though it has the cache to itself, of which `had` bytes could be allocated. */
export function noMemory(tokens: number, needed: number, had: number): VitrineError {
  return new VitrineError(
    "out_of_memory",
    `There is no memory for the KV cache of ${tokens} tokens: it takes ${mebibytes(needed)}, and ${mebibytes(had)} could be had. ` +
      "Send a shorter request, or start the server with less --kv-memory than the machine has free.",
  );
}

const mebibytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
