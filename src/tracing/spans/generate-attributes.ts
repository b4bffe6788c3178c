import type { GenerateAttributes } from "../contract.js";
import type { SpanAttributes } from "./open-span.js";

/**
 * What was asked for, as resolved: vitrine's `ai.*` and OpenTelemetry's generative-AI names
 * (https://opentelemetry.io/docs/specs/semconv/gen-ai/). What few requests use is there only where it was.
 */
export function generateAttributes({ sampling, ...request }: GenerateAttributes): SpanAttributes {
  return {
    "ai.model.name": request.model,
    "ai.task.type": "text-generation",
    "ai.max_tokens": request.maxTokens,
    "ai.temperature": sampling.temperature,
    "ai.top_p": sampling.topP,
    "ai.top_k": sampling.topK,
    "ai.min_p": sampling.minP,
    "ai.typical_p": sampling.typicalP < 1 ? sampling.typicalP : undefined,
    "ai.min_tokens": sampling.minTokens > 0 ? sampling.minTokens : undefined,
    "ai.seed": sampling.seed,
    "ai.repetition_penalty": sampling.repetitionPenalty,
    "ai.presence_penalty": sampling.presencePenalty,
    "ai.frequency_penalty": sampling.frequencyPenalty,
    "ai.n": request.n > 1 ? request.n : undefined,
    "ai.logprobs": request.logprobs,
    "ai.priority": request.priority === 0 ? undefined : request.priority,
    "ai.response_format": request.responseFormat,
    user_id_hash: request.user?.current,
    "user_id_hash.previous": request.user?.previous,
    api_key_hash: request.apiKey?.current,
    "api_key_hash.previous": request.apiKey?.previous,
    "gen_ai.operation.name": request.operation,
    "gen_ai.provider.name": "vitrine",
    "gen_ai.request.model": request.model,
    "gen_ai.request.max_tokens": request.maxTokens,
    "gen_ai.request.temperature": sampling.temperature,
    "gen_ai.request.top_p": sampling.topP,
    "gen_ai.request.top_k": sampling.topK,
    "gen_ai.request.choice.count": request.n > 1 ? request.n : undefined,
    "gen_ai.request.seed": sampling.seed,
    "gen_ai.request.presence_penalty": sampling.presencePenalty,
    "gen_ai.request.frequency_penalty": sampling.frequencyPenalty,
    "gen_ai.request.stream": request.stream,
    "gen_ai.response.model": request.model,
    "gen_ai.output.type": request.responseFormat?.startsWith("json") ? "json" : "text",
  };
}
