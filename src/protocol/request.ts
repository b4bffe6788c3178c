import type { Micros } from "./clock.js";
import type { Grammar } from "./grammar.js";

export type RequestId = string;

export interface EngineRequest {
  readonly id: RequestId;
  /** Prompt token ids, at least one. */
  readonly prompt: Int32Array;
  /** Most tokens to generate, at least 1; prompt + maxTokens fits the context (checked at the HTTP edge). */
  readonly maxTokens: number;
  /** Ids that end the sequence; the ending id is not part of the output. */
  readonly stopTokenIds: readonly number[];
  readonly sampling: SamplingParams;
  /** When the prompt was ready; the queue span starts here. */
  readonly submittedAt: Micros;
  /** Tell of every step that it is in, and which these were (`--trace-detail step`). */
  readonly recordSteps: boolean;
  /** Higher goes first; requests of one priority are served first in, first out. -10 to 10. */
  readonly priority: number;
  /** Cached prompts are shared only among requests with the same salt, so that timing tells a caller nothing of others'. */
  readonly cacheSalt: string;
  /** Report log probabilities of each chosen token and this many likeliest alternatives, 0 to 20. Absent: none. */
  readonly logprobs?: number;
  /** Report those of the prompt's own tokens too (`echo` with `logprobs`). */
  readonly promptLogprobs?: boolean;
  /** What the output must be; absent: anything. */
  readonly grammar?: Grammar;
}

/** How the next token is chosen. All fields are resolved: defaults are applied at the HTTP edge. */
export interface SamplingParams {
  /** 0 means greedy. */
  readonly temperature: number;
  /** Nucleus mass in (0, 1]; 1 keeps all. */
  readonly topP: number;
  /** Keep the k likeliest; 0 keeps all. */
  readonly topK: number;
  /** Keep tokens at least this fraction as likely as the likeliest; 0 keeps all. */
  readonly minP: number;
  /** Locally typical mass in (0, 1] (arXiv:2202.00666); 1 keeps all. */
  readonly typicalP: number;
  /** Added to the logits of these token ids before anything else (OpenAI's `logit_bias`). */
  readonly logitBias: readonly (readonly [token: number, bias: number])[];
  /** No id that ends the sequence is chosen before this many tokens of output. */
  readonly minTokens: number;
  /** Multiplicative penalty on tokens of prompt and output (CTRL, arXiv:1909.05858); 1 is none. */
  readonly repetitionPenalty: number;
  /** OpenAI's additive penalties on tokens of the output; 0 is none. */
  readonly presencePenalty: number;
  readonly frequencyPenalty: number;
  /** Non-negative integer below 2^53. The same seed gives the same tokens. */
  readonly seed: number;
}

/** Log probability of a token, natural logarithm, of the model's own distribution before any sampling parameter. */
export interface TokenLogprob {
  readonly token: number;
  readonly logprob: number;
}

/** What `logprobs` asks for, for one position. */
export interface PositionLogprobs extends TokenLogprob {
  /** The likeliest tokens, best first. */
  readonly top: readonly TokenLogprob[];
}
