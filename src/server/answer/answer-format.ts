import type { FinishReason } from "../../protocol.js";
import { chatLogprobs, completionLogprobs, type TokenEntry } from "./logprob-format.js";
import { joinCalls, type ToolCallDelta } from "./tool-call-reader.js";

/** Tokens of one request: each prompt counts once, however many answers it has. */
export interface TokenCounts {
  readonly prompt: number;
  /** Of those, the ones that were in the cache already. */
  readonly cached: number;
  readonly completion: number;
}

/** Why a choice ended, as clients are told. */
export type AnswerReason = FinishReason | "tool_calls";

/** A part of one choice. */
export interface Piece {
  readonly text: string;
  /** What it has of tool calls; undefined for none. */
  readonly calls?: readonly ToolCallDelta[] | undefined;
  /** The tokens that begin in it; undefined where no log probabilities are asked for. */
  readonly tokens: readonly TokenEntry[] | undefined;
}

/** All of one choice. */
export interface FinishedChoice extends Piece {
  readonly reason: AnswerReason;
}

/** What all objects of one answer share. */
export interface AnswerHead {
  readonly id: string;
  /** Seconds since 1970. */
  readonly created: number;
  readonly model: string;
}

/** The objects of one answer, as the OpenAI API reference gives them. A choice is known by its index. */
export interface AnswerFormat {
  /** The answer when it is sent whole. */
  whole(choices: readonly FinishedChoice[], tokens: TokenCounts): object;
  /** What a choice's stream opens with, if anything. */
  opening(index: number): object | undefined;
  chunk(index: number, piece: Piece): object;
  last(index: number, reason: AnswerReason): object;
  /** The chunk that `stream_options.include_usage` asks for. */
  usage(tokens: TokenCounts): object;
}

export interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  readonly prompt_tokens_details: { readonly cached_tokens: number };
}

export const usageOf = ({ prompt, cached, completion }: TokenCounts): Usage => ({
  prompt_tokens: prompt,
  completion_tokens: completion,
  total_tokens: prompt + completion,
  prompt_tokens_details: { cached_tokens: cached },
});

/** `POST /v1/chat/completions`. */
export function chatFormat(head: AnswerHead, includeUsage: boolean): AnswerFormat {
  const logprobs = ({ tokens }: Piece): object | null => (tokens === undefined ? null : chatLogprobs(tokens));
  const event = (choices: readonly object[], usage: Usage | null): object => ({
    id: head.id,
    object: "chat.completion.chunk",
    created: head.created,
    model: head.model,
    choices,
    ...(includeUsage ? { usage } : {}),
  });
  const delta = (index: number, content: object, reason: AnswerReason | null, logprobs: object | null): object =>
    event([{ index, delta: content, logprobs, finish_reason: reason }], null);
  return {
    whole: (choices, tokens) => ({
      id: head.id,
      object: "chat.completion",
      created: head.created,
      model: head.model,
      choices: choices.map((choice, index) => ({
        index,
        message: { role: "assistant", ...contentOf(choice), refusal: null },
        logprobs: logprobs(choice),
        finish_reason: choice.reason,
      })),
      usage: usageOf(tokens),
    }),
    opening: (index) => delta(index, { role: "assistant", content: "" }, null, null),
    chunk: (index, piece) => delta(index, deltaOf(piece), null, logprobs(piece)),
    last: (index, reason) => delta(index, {}, reason, null),
    usage: (tokens) => event([], usageOf(tokens)),
  };
}

/** Of a message: no content where there is nothing but calls. */
function contentOf({ text, calls }: Piece): object {
  if (calls === undefined) return { content: text };
  return { content: text === "" ? null : text, tool_calls: joinCalls(calls).map(({ index: _, ...call }) => call) };
}

function deltaOf({ text, calls }: Piece): object {
  if (calls === undefined) return { content: text };
  return { ...(text === "" ? {} : { content: text }), tool_calls: joinCalls(calls) };
}

/** `POST /v1/completions`. */
export function completionFormat(head: AnswerHead, includeUsage: boolean): AnswerFormat {
  const completion = (choices: readonly object[], usage: { readonly usage?: Usage | null }): object => ({
    id: head.id,
    object: "text_completion",
    created: head.created,
    model: head.model,
    choices,
    ...usage,
  });
  const choice = (index: number, { text, tokens }: Piece, reason: AnswerReason | null): object => {
    return { text, index, logprobs: tokens === undefined ? null : completionLogprobs(tokens), finish_reason: reason };
  };
  const none = includeUsage ? { usage: null } : {};
  const nothing: Piece = { text: "", tokens: undefined };
  return {
    whole: (choices, tokens) =>
      completion(
        choices.map((finished, index) => choice(index, finished, finished.reason)),
        { usage: usageOf(tokens) },
      ),
    opening: () => undefined,
    chunk: (index, piece) => completion([choice(index, piece, null)], none),
    last: (index, reason) => completion([choice(index, nothing, reason)], none),
    usage: (tokens) => completion([], { usage: usageOf(tokens) }),
  };
}
