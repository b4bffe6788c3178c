import { VitrineError } from "../errors.js";
import type { EngineRequest, ModelDescription } from "../protocol.js";
import type { GenerateAttributes } from "../tracing/contract.js";
import type { ServerContext } from "./context.js";
import type { Exchange } from "./exchange.js";
import { badField, type GenerationRequest, type MaxTokens } from "./schema.js";

/**
 * From a validated request and its tokens to what the engine takes, within the limits. Opens `model.generate`.
 * Throws VitrineError `invalid_request`, `context_length_exceeded`.
 */
export function prepare(
  context: ServerContext,
  exchange: Exchange,
  request: GenerationRequest,
  model: ModelDescription,
  id: string,
  prompt: Int32Array,
): EngineRequest {
  const end = context.clock();
  const room = model.contextLength - prompt.length;
  const maxTokens = request.maxTokens.asked ?? Math.max(0, Math.min(room, request.maxTokens.otherwise));
  const sampling = { ...request.sampling, seed: request.seed ?? context.randomSeed() };
  const { trace } = exchange.request;
  exchange.tokens = { prompt: prompt.length, completion: 0 };
  trace?.generating(exchange.bodyReceived, { ...attributesOf(context, request), maxTokens, sampling });
  trace?.tokenized(exchange.bodyReceived, end, prompt.length);
  checkLength(prompt.length, request, model.contextLength);
  return {
    id,
    prompt,
    maxTokens,
    stopTokenIds: context.tokenizer.eosTokenIds,
    sampling,
    // Waiting begins where tokenizing ended, so that no part of the request's life is outside its spans.
    submittedAt: end,
    recordSteps: context.recordSteps,
    priority: 0,
    cacheSalt: "",
  };
}

/** The trace of a request whose tokenizing ended with `error`. */
export function traceUntokenized(
  context: ServerContext,
  exchange: Exchange,
  request: GenerationRequest,
  error: VitrineError,
): void {
  const { trace } = exchange.request;
  const maxTokens = request.maxTokens.asked;
  const sampling = { ...request.sampling, seed: request.seed };
  trace?.generating(exchange.bodyReceived, { ...attributesOf(context, request), maxTokens, sampling });
  trace?.tokenized(exchange.bodyReceived, context.clock(), undefined, error.toWire());
}

function attributesOf(
  context: ServerContext,
  request: GenerationRequest,
): Omit<GenerateAttributes, "maxTokens" | "sampling"> {
  const { state } = context.engine;
  return {
    model: request.model,
    operation: request.operation,
    stream: request.stream,
    ...(request.user === undefined ? {} : { userIdHash: context.hashUser(request.user) }),
    ...(state.kind === "ready" ? { device: state.device } : {}),
  };
}

export const unknownModel = (modelId: string): VitrineError =>
  new VitrineError("model_not_found", `The model does not exist: this server has \`${modelId}\`.`, { param: "model" });

function checkLength(promptTokens: number, request: GenerationRequest, contextLength: number): void {
  const param = request.prompt.kind === "messages" ? "messages" : "prompt";
  if (promptTokens === 0) throw badField(param, "is empty: it must have at least one token");
  if (promptTokens >= contextLength) {
    throw new VitrineError(
      "context_length_exceeded",
      `\`${param}\` has ${promptTokens} tokens; with at least one for the answer, the context holds ` +
        `${contextLength}: shorten it.`,
      { param },
    );
  }
  checkMaxTokens(promptTokens, request.maxTokens, contextLength);
}

function checkMaxTokens(promptTokens: number, { asked, field }: MaxTokens, contextLength: number): void {
  if (asked === undefined || promptTokens + asked <= contextLength) return;
  throw new VitrineError(
    "context_length_exceeded",
    `The prompt has ${promptTokens} tokens and \`${field}\` asks for ${asked}, but the context holds ` +
      `${contextLength}: ask for at most ${contextLength - promptTokens}, or shorten the prompt.`,
    { param: field },
  );
}
