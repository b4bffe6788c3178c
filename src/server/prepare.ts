import { VitrineError } from "../errors.js";
import type { EngineRequest, ModelDescription } from "../protocol.js";
import type { ServerContext } from "./context.js";
import type { Exchange } from "./exchange.js";
import type { Prompt } from "./fields.js";
import { badField, type GenerationRequest, type MaxTokens } from "./schema.js";

/**
 * From a validated request to what the engine takes: template, tokens, limits. Opens `model.generate`.
 * Throws VitrineError `model_not_found`, `invalid_request`, `context_length_exceeded`.
 */
export function prepare(
  context: ServerContext,
  exchange: Exchange,
  request: GenerationRequest,
  model: ModelDescription,
  id: string,
): EngineRequest {
  if (request.model !== context.modelId) throw unknownModel(context.modelId);
  const prompt = encode(context, request.prompt);
  const end = context.clock();
  const room = model.contextLength - prompt.length;
  const maxTokens = request.maxTokens.asked ?? Math.max(0, Math.min(room, request.maxTokens.otherwise));
  const sampling = { ...request.sampling, seed: request.seed ?? context.randomSeed() };
  const { state } = context.engine;
  const { trace } = exchange.request;
  exchange.tokens = { prompt: prompt.length, completion: 0 };
  trace?.generating(exchange.bodyReceived, {
    model: request.model,
    operation: request.operation,
    stream: request.stream,
    maxTokens,
    sampling,
    ...(request.user === undefined ? {} : { userIdHash: context.hashUser(request.user) }),
    ...(state.kind === "ready" ? { device: state.device } : {}),
  });
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
  };
}

export const unknownModel = (modelId: string): VitrineError =>
  new VitrineError("model_not_found", `The model does not exist: this server has \`${modelId}\`.`, { param: "model" });

function encode(context: ServerContext, prompt: Prompt): Int32Array {
  const { tokenizer, chatTemplate } = context;
  switch (prompt.kind) {
    case "text":
      return tokenizer.encode(prompt.text, { addSpecialTokens: true });
    case "tokens": {
      const bad = prompt.ids.findIndex((id) => id >= tokenizer.vocabSize);
      if (bad < 0) return Int32Array.from(prompt.ids);
      throw badField(`prompt[${bad}]`, `is not a token of this model: ids go from 0 to ${tokenizer.vocabSize - 1}`);
    }
    case "messages":
      if (chatTemplate === undefined) {
        throw badField(
          "messages",
          "cannot be used, as this model has no chat template: send a prompt to /v1/completions",
        );
      }
      return tokenizer.encode(chatTemplate.render(prompt.messages), { addSpecialTokens: false });
  }
}

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
