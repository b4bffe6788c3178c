import type { FinishReason } from "../protocol.js";

/** Tokens of one request. */
export interface TokenCounts {
  readonly prompt: number;
  readonly completion: number;
}

/** What all objects of one answer share. */
export interface AnswerHead {
  readonly id: string;
  /** Seconds since 1970. */
  readonly created: number;
  readonly model: string;
}

/** The objects of one answer, as the OpenAI API reference gives them. */
export interface AnswerFormat {
  /** The answer when it is sent whole. */
  whole(text: string, reason: FinishReason, tokens: TokenCounts): object;
  /** What a stream opens with, if anything. */
  opening(): object | undefined;
  chunk(text: string): object;
  last(reason: FinishReason): object;
  /** The chunk that `stream_options.include_usage` asks for. */
  usage(tokens: TokenCounts): object;
}

export interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
  readonly prompt_tokens_details: { readonly cached_tokens: number };
}

export const usageOf = ({ prompt, completion }: TokenCounts): Usage => ({
  prompt_tokens: prompt,
  completion_tokens: completion,
  total_tokens: prompt + completion,
  prompt_tokens_details: { cached_tokens: 0 },
});

/** `POST /v1/chat/completions`. */
export function chatFormat(head: AnswerHead, includeUsage: boolean): AnswerFormat {
  const event = (choices: readonly object[], usage: Usage | null): object => ({
    id: head.id,
    object: "chat.completion.chunk",
    created: head.created,
    model: head.model,
    choices,
    ...(includeUsage ? { usage } : {}),
  });
  const delta = (content: object, reason: FinishReason | null): object =>
    event([{ index: 0, delta: content, logprobs: null, finish_reason: reason }], null);
  return {
    whole: (content, reason, tokens) => ({
      id: head.id,
      object: "chat.completion",
      created: head.created,
      model: head.model,
      choices: [
        {
          index: 0,
          message: { role: "assistant", content, refusal: null },
          logprobs: null,
          finish_reason: reason,
        },
      ],
      usage: usageOf(tokens),
    }),
    opening: () => delta({ role: "assistant", content: "" }, null),
    chunk: (content) => delta({ content }, null),
    last: (reason) => delta({}, reason),
    usage: (tokens) => event([], usageOf(tokens)),
  };
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
  const choice = (text: string, reason: FinishReason | null): readonly object[] => [
    { text, index: 0, logprobs: null, finish_reason: reason },
  ];
  const none = includeUsage ? { usage: null } : {};
  return {
    whole: (text, reason, tokens) => completion(choice(text, reason), { usage: usageOf(tokens) }),
    opening: () => undefined,
    chunk: (text) => completion(choice(text, null), none),
    last: (reason) => completion(choice("", reason), none),
    usage: (tokens) => completion([], { usage: usageOf(tokens) }),
  };
}
