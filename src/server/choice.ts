import type { EngineRequest, FinishReason, PositionLogprobs, RequestId } from "../protocol.js";
import type { StreamDecoder, Tokenizer } from "../runtime/tokenizer.js";
import type { Piece } from "./answer-format.js";
import type { Prompt } from "./fields.js";
import type { GenerationRequest } from "./schema.js";
import { StopMatcher } from "./stop-matcher.js";
import { TokenTrail } from "./token-trail.js";

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
  readonly #trail: TokenTrail | undefined;

  constructor(
    private readonly tokenizer: Tokenizer,
    private readonly wanted: GenerationRequest,
    readonly index: number,
    { request, prompt }: ChoiceRequest,
  ) {
    this.#request = request;
    this.#prompt = prompt;
    // A completion continues its prompt's text, down to the space between them; a chat answer starts a text of its own.
    this.#decoder = tokenizer.stream(wanted.operation === "chat" ? [] : request.prompt);
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
    const piece = this.#piece(this.#matcher.push(this.#decoder.flush()) + this.#matcher.flush());
    if (this.matched || piece.tokens === undefined) return piece;
    return { ...piece, tokens: [...piece.tokens, ...(this.#trail?.flush() ?? [])] };
  }

  #piece(text: string): Piece {
    return { text, tokens: this.#trail?.release(text.length) };
  }

  /** The prompt as text, each token with the text it completes. */
  #echo(): Piece {
    const { prompt: ids } = this.#request;
    const decoder = this.tokenizer.stream();
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
