import { VitrineError } from "../../errors.js";
import type { EngineRequest, ModelDescription } from "../../protocol.js";
import type { GenerateAttributes } from "../../tracing/contract.js";
import type { ChoiceRequest } from "../answer/choice.js";
import { cacheSaltOf } from "../caller.js";
import type { ServerContext } from "../context.js";
import type { Exchange } from "../exchange.js";
import type { Prompt } from "./fields.js";
import { formatKind, grammarOf } from "./grammar.js";
import { badField, type GenerationRequest, type MaxTokens } from "./schema.js";

/** What is known of a request once it is admitted. */
export interface Prepared {
  readonly wanted: GenerationRequest;
  /** The answer's id, which the engine's requests share. */
  readonly id: string;
  readonly caller: string;
  readonly model: ModelDescription;
}

/**
 * From a validated request and the tokens of its prompts to what the engine takes, within the limits: `n` requests for
 * each prompt. Opens `model.generate`. Throws VitrineError `invalid_request`, `context_length_exceeded`.
 */
export function prepare(
  context: ServerContext,
  exchange: Exchange,
  prepared: Prepared,
  prompts: readonly Int32Array[],
): readonly ChoiceRequest[] {
  const { wanted, model } = prepared;
  const end = context.clock();
  const seed = wanted.seed ?? context.randomSeed();
  const recordSteps = context.recordSteps && exchange.request.trace?.recorded === true;
  const requests = prompts.flatMap((ids, number) =>
    Array.from({ length: wanted.n }, (_, k): ChoiceRequest => {
      const index = number * wanted.n + k;
      const id = prompts.length * wanted.n === 1 ? prepared.id : `${prepared.id}-${index}`;
      const prompt = wanted.prompts[number] as Prompt;
      const fields = { id, ids, seed: seedAfter(seed, k), at: end, recordSteps };
      return { prompt, request: engineRequest(context, prepared, fields) };
    }),
  );
  const promptTokens = prompts.reduce((sum, ids) => sum + ids.length, 0);
  exchange.tokens = { prompt: promptTokens, cached: 0, completion: 0 };
  const { trace } = exchange.request;
  trace?.generating(exchange.bodyReceived, {
    ...attributesOf(context, exchange, wanted),
    maxTokens: Math.max(...prompts.map((ids) => maxTokensOf(wanted.maxTokens, ids, model))),
    sampling: { ...wanted.sampling, seed },
    ...(requests.length === 1
      ? {}
      : { choices: requests.map(({ request }) => ({ id: request.id, seed: request.sampling.seed })) }),
  });
  trace?.tokenized(exchange.bodyReceived, end, promptTokens);
  prompts.forEach((ids, number) => {
    checkLength(ids.length, wanted, paramOf(wanted, number), model.contextLength);
  });
  return requests;
}

interface EngineFields {
  readonly id: string;
  readonly ids: Int32Array;
  readonly seed: number;
  readonly at: number;
  readonly recordSteps: boolean;
}

function engineRequest(
  context: ServerContext,
  { wanted, caller, model }: Prepared,
  { id, ids, seed, at, recordSteps }: EngineFields,
): EngineRequest {
  const { stop, logprobs } = wanted;
  const grammar = grammarOf(wanted, context.chatTemplate);
  const scored = logprobs !== undefined && wanted.echo;
  // Evaluation harnesses ask for one token beside their scored text, and drop the last position: it has to be there.
  const unending = stop.ignoreEos || (scored && wanted.maxTokens.asked === 1);
  const owner = context.prefixSalt === "key" ? caller : undefined;
  return {
    id,
    prompt: ids,
    // The engine makes one at least; an answer that is its prompt alone leaves it out.
    maxTokens: Math.max(1, maxTokensOf(wanted.maxTokens, ids, model)),
    stopTokenIds: [...(unending ? [] : context.tokenizer.eosTokenIds), ...stop.tokenIds],
    sampling: { ...wanted.sampling, seed },
    // Waiting begins where tokenizing ended, so that no part of the request's life is outside its spans.
    submittedAt: at,
    recordSteps,
    priority: wanted.priority,
    cacheSalt: cacheSaltOf(owner, wanted.cacheSalt, context.hashKey),
    ...(grammar === undefined ? {} : { grammar }),
    ...(logprobs === undefined ? {} : { logprobs }),
    ...(scored ? { promptLogprobs: true } : {}),
  };
}

/** Each answer to a prompt has a seed of its own, the first the one asked for. Below 2^53, round from there to 0. */
function seedAfter(seed: number, steps: number): number {
  const room = Number.MAX_SAFE_INTEGER - seed;
  return steps <= room ? seed + steps : steps - room - 1;
}

function maxTokensOf(
  { asked, otherwise }: MaxTokens,
  { length }: Int32Array,
  { contextLength }: ModelDescription,
): number {
  return asked ?? Math.max(0, Math.min(contextLength - length, otherwise));
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
  trace?.generating(exchange.bodyReceived, { ...attributesOf(context, exchange, request), maxTokens, sampling });
  trace?.tokenized(exchange.bodyReceived, context.clock(), undefined, error.toWire());
}

function attributesOf(
  context: ServerContext,
  exchange: Exchange,
  request: GenerationRequest,
): Omit<GenerateAttributes, "maxTokens" | "sampling"> {
  return {
    model: request.model,
    operation: request.operation,
    stream: request.stream,
    n: request.n,
    priority: request.priority,
    responseFormat: formatKind(request),
    ...(request.logprobs === undefined ? {} : { logprobs: request.logprobs }),
    ...(request.user === undefined ? {} : { user: context.hashIdentity(request.user) }),
    ...(exchange.apiKey === undefined ? {} : { apiKey: exchange.apiKey }),
  };
}

export const unknownModel = (modelId: string): VitrineError =>
  new VitrineError("model_not_found", `The model does not exist: this server has \`${modelId}\`.`, { param: "model" });

/** The name of a prompt in messages. */
export function paramOf({ prompts }: GenerationRequest, number: number): string {
  if (prompts[number]?.kind === "messages") return "messages";
  return prompts.length === 1 ? "prompt" : `prompt[${number}]`;
}

/** Token ids that a request names must be ids of this model. Throws VitrineError `invalid_request`. */
export function checkTokenIds({ sampling, stop }: GenerationRequest, { vocabSize }: ModelDescription): void {
  const message = `is not a token of this model: ids go from 0 to ${vocabSize - 1}`;
  const biased = sampling.logitBias.find(([id]) => id >= vocabSize);
  if (biased !== undefined) throw badField(`logit_bias.${biased[0]}`, message);
  const stopping = stop.tokenIds.findIndex((id) => id >= vocabSize);
  if (stopping >= 0) throw badField(`stop_token_ids[${stopping}]`, message);
}

function checkLength(promptTokens: number, wanted: GenerationRequest, param: string, contextLength: number): void {
  if (promptTokens === 0) throw badField(param, "is empty: it must have at least one token");
  if (promptTokens >= contextLength) {
    throw new VitrineError(
      "context_length_exceeded",
      `\`${param}\` has ${promptTokens} tokens; with at least one for the answer, the context holds ` +
        `${contextLength}: shorten it.`,
      { param },
    );
  }
  checkMaxTokens(promptTokens, wanted, contextLength);
}

function checkMaxTokens(
  promptTokens: number,
  { maxTokens: { asked, otherwise, field }, sampling: { minTokens } }: GenerationRequest,
  contextLength: number,
): void {
  if (asked !== undefined && promptTokens + asked > contextLength) {
    throw new VitrineError(
      "context_length_exceeded",
      `The prompt has ${promptTokens} tokens and \`${field}\` asks for ${asked}, but the context holds ` +
        `${contextLength}: ask for at most ${contextLength - promptTokens}, or shorten the prompt.`,
      { param: field },
    );
  }
  const most = asked ?? Math.min(otherwise, contextLength - promptTokens);
  if (minTokens > most) throw badField("min_tokens", `must not be more than \`${field}\`, which is ${most} here`);
}
