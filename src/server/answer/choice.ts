import type { EngineRequest, FinishReason, PositionLogprobs, RequestId, ToolCallFormat } from "../../protocol.js";
import type { StreamDecoder } from "../../runtime/text/stream-decoder.js";
import type { Tokenizer } from "../../runtime/text/tokenizer.js";
import type { ServerContext } from "../context.js";
import type { Prompt } from "../request/fields.js";
import type { GenerationRequest } from "../request/schema.js";
import type { AnswerReason, Piece } from "./answer-format.js";
import { StopMatcher } from "./stop-matcher.js";
import { TokenTrail } from "./token-trail.js";
import { ToolCallReader } from "./tool-call-reader.js";

/** One answer to one prompt, as the engine is asked for it. */
export interface ChoiceRequest {
  readonly request: EngineRequest;
  readonly prompt: Prompt;
}

/** One answer on its way: the engine's tokens to text and log probabilities, up to a stop string. */
export class Choice {
  /** Why it ended; what comes afterwards is nobody's. */
  reason: FinishReason | undefined;
  #tokens = 0;
  #begun = false;
  /** Of the prompt's tokens but the first. */
  #promptLogprobs: PositionLogprobs[] = [];
  readonly #request: EngineRequest;
  readonly #prompt: Prompt;
  readonly #decoder: StreamDecoder;
  readonly #matcher: StopMatcher;
  readonly #tokenizer: Tokenizer;
  /** Undefined where no tool may be called. */
  readonly #calls: ToolCallReader | undefined;
  readonly #trail: TokenTrail | undefined;

  constructor(
    { tokenizer, chatTemplate, newId }: Pick<ServerContext, "tokenizer" | "chatTemplate" | "newId">,
    private readonly wanted: GenerationRequest,
    readonly index: number,
    { request, prompt }: ChoiceRequest,
  ) {
    this.#request = request;
    this.#prompt = prompt;
    // A completion continues its prompt's text, down to the space between them; a chat answer starts a text of its own.
    const calls = wanted.tools === undefined ? undefined : chatTemplate?.toolFormat;
    this.#decoder = tokenizer.stream(wanted.operation === "chat" ? [] : request.prompt, calls && namesIn(calls));
    this.#calls = calls && new ToolCallReader(calls, () => `call_${newId()}`);
    this.#tokenizer = tokenizer;
    this.#matcher = new StopMatcher(wanted.stop.strings, wanted.stop.includeString);
    this.#trail = wanted.logprobs === undefined ? undefined : new TokenTrail(tokenizer);
  }

  get id(): RequestId {
    return this.#request.id;
  }

  /** Tokens of the answer. */
  get tokens(): number {
    return this.#tokens;
  }

  /** False where the answer is its prompt alone: what the engine makes beyond that is left out. */
  get hasTokens(): boolean {
    return this.wanted.maxTokens.asked !== 0;
  }

  /** An answer that was not told which tool to call, and called one, ended to have it run. */
  toldReason(reason: FinishReason): AnswerReason {
    const called = this.#calls !== undefined && this.#calls.calls > 0 && this.wanted.tools?.choice !== "named";
    return called && reason === "stop" ? "tool_calls" : reason;
  }

  /** A stop string was found. */
  get matched(): boolean {
    return this.#matcher.matched;
  }

  /** The engine goes on after this many tokens: what it told of the prompt's later ones it will tell again. */
  resumeAfter(cached: number): void {
    this.#promptLogprobs.length = Math.min(this.#promptLogprobs.length, cached);
  }

  /** More of the prompt's log probabilities. */
  score(positions: readonly PositionLogprobs[]): void {
    for (const position of positions) this.#promptLogprobs.push(position);
  }

  /** What the answer begins with before any token; undefined when that was asked before. */
  begin(): Piece | undefined {
    if (this.#begun) return undefined;
    this.#begun = true;
    return this.wanted.echo ? this.#echo() : this.#piece("");
  }

  push(token: number, logprobs: PositionLogprobs | undefined): Piece {
    this.#tokens++;
    const text = this.#decoder.push(token);
    this.#trail?.add(token, logprobs, text);
    // No stop string may end the answer before `min_tokens`.
    return this.#piece(this.#tokens <= this.wanted.sampling.minTokens ? text : this.#matcher.push(text));
  }

  /** What was held back, once no token follows. */
  flush(): Piece {
    const last = this.#piece(this.#matcher.push(this.#decoder.flush()) + this.#matcher.flush());
    const rest = this.#calls?.flush();
    const piece = rest === undefined ? last : { ...last, text: last.text + rest.text };
    if (this.matched || piece.tokens === undefined) return piece;
    return { ...piece, tokens: [...piece.tokens, ...(this.#trail?.flush() ?? [])] };
  }

  #piece(text: string): Piece {
    const tokens = this.#trail?.release(text.length);
    if (this.#calls === undefined) return { text, tokens };
    const heard = this.#calls.push(text);
    return { text: heard.text, tokens, ...(heard.calls.length === 0 ? {} : { calls: heard.calls }) };
  }

  /** The prompt as text, each token with the text it completes. */
  #echo(): Piece {
    const { prompt: ids } = this.#request;
    const decoder = this.#tokenizer.stream();
    const texts = Array.from(ids, (id) => decoder.push(id));
    const decoded = texts.join("") + decoder.flush();
    const text = this.#prompt.kind === "text" ? this.#prompt.text : decoded;
    const trail = this.#trail;
    if (trail === undefined) return { text, tokens: undefined };
    ids.forEach((id, i) => {
      trail.add(id, i === 0 ? undefined : this.#promptLogprobs[i - 1], texts[i] ?? "");
    });
    const tokens = trail.flush();
    trail.startAfter(text);
    return { text, tokens };
  }
}

/** Special tokens that a format is written with are text here. */
const namesIn = ({ open, middle, between = "", close }: ToolCallFormat): string => open + middle + between + close;
