import { VitrineError } from "../errors.js";
import type { CancelCause, EngineRequest, FinishReason, Micros, Outcome, RequestEvent } from "../protocol.js";
import type { StreamDecoder } from "../runtime/tokenizer.js";
import type { TokenCounts } from "./answer-format.js";
import type { ServerContext } from "./context.js";
import { cancelError, framesOf, toVitrineError } from "./error-response.js";
import type { Abortable, Exchange } from "./exchange.js";
import type { GenerationRequest } from "./schema.js";
import { StopMatcher } from "./stop-matcher.js";

/** Takes one answer: text…, then exactly one of finish and fail. */
export interface Answer {
  /** The first token has come, though its text may be held back. */
  begin(): void;
  text(piece: string): void;
  /** `at` is when the last token was known. */
  finish(reason: FinishReason, tokens: TokenCounts, at: Micros): void;
  fail(error: VitrineError): void;
}

/** One request at the engine, from submission to its end: tokens to text, stop strings, cancelling. */
export class Generation implements Abortable {
  readonly #decoder: StreamDecoder;
  readonly #matcher: StopMatcher;
  #completionTokens = 0;
  #firstToken: Micros | undefined;
  #lastToken: Micros = 0;
  /** The answer is decided; what the engine still sends changes nothing. */
  #settled = false;
  #release: () => void = () => {};

  constructor(
    private readonly context: ServerContext,
    private readonly exchange: Exchange,
    private readonly request: EngineRequest,
    { operation, stop }: GenerationRequest,
    private readonly answer: Answer,
  ) {
    // A completion continues its prompt's text, down to the space between them; a chat answer starts a text of its own.
    this.#decoder = context.tokenizer.stream(operation === "chat" ? [] : request.prompt);
    this.#matcher = new StopMatcher(stop);
  }

  start(): void {
    const { context, exchange, request } = this;
    this.#release = exchange.hold(this);
    exchange.endWithin(context.limits.requestTimeoutMs);
    context.engine.submit(request, (event) => this.#observe(event));
  }

  abort(cause: CancelCause): void {
    if (this.#settled) return;
    this.#fail(cancelError(cause, this.context.limits.requestTimeoutMs));
    this.context.engine.cancel(this.request.id, cause);
  }

  #observe(event: RequestEvent): void {
    // After the answer is decided, late tokens are nobody's.
    if (event.type !== "token" || !this.#settled) this.exchange.request.trace?.observe(event);
    try {
      if (event.type === "token") this.#token(event.token, event.at);
      else if (event.type === "ended") this.#ended(event.outcome, event.at);
    } catch (thrown) {
      this.context.logger.error({ request_id: this.request.id, stack: framesOf(thrown) }, "decoding failed");
      this.#fail(toVitrineError(thrown));
      this.context.engine.stop(this.request.id);
    } finally {
      if (event.type === "ended") this.#release();
    }
  }

  #token(token: number, at: Micros): void {
    if (this.#settled) return;
    this.#completionTokens++;
    this.#measure(at);
    const piece = this.#matcher.push(this.#decoder.push(token));
    if (this.#completionTokens === 1) this.answer.begin();
    if (piece !== "") this.answer.text(piece);
    if (!this.#matcher.matched) return;
    this.#finish("stop", at);
    this.context.engine.stop(this.request.id);
  }

  #ended(outcome: Outcome, at: Micros): void {
    if (this.#settled) return;
    switch (outcome.kind) {
      case "finished": {
        const piece = this.#matcher.push(this.#decoder.flush()) + this.#matcher.flush();
        if (piece !== "") this.answer.text(piece);
        this.#finish(this.#matcher.matched ? "stop" : outcome.reason, at);
        break;
      }
      case "cancelled":
        this.#fail(cancelError(outcome.cause, this.context.limits.requestTimeoutMs));
        break;
      case "failed":
        this.#fail(VitrineError.fromWire(outcome.error));
        break;
    }
  }

  #measure(at: Micros): void {
    const { metrics } = this.context;
    if (this.#firstToken === undefined) {
      this.#firstToken = at;
      metrics.timeToFirstToken.observe((at - this.exchange.request.start) / 1e6);
    } else {
      metrics.interTokenLatency.observe((at - this.#lastToken) / 1e6);
    }
    this.#lastToken = at;
  }

  #finish(reason: FinishReason, at: Micros): void {
    if (this.#settled) return;
    this.#settle();
    const { metrics } = this.context;
    const later = this.#completionTokens - 1;
    if (later > 0) metrics.timePerOutputToken.observe((this.#lastToken - (this.#firstToken ?? 0)) / 1e6 / later);
    this.answer.finish(reason, this.#tokens(), at);
  }

  #fail(error: VitrineError): void {
    if (this.#settled) return;
    this.#settle();
    this.exchange.error ??= error;
    this.answer.fail(error);
  }

  #settle(): void {
    this.#settled = true;
    this.exchange.tokens = this.#tokens();
  }

  #tokens(): TokenCounts {
    return { prompt: this.request.prompt.length, completion: this.#completionTokens };
  }
}
