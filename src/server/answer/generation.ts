import { VitrineError } from "../../errors.js";
import type { CancelCause, FinishReason, Micros, Outcome, RequestEvent } from "../../protocol.js";
import type { ServerContext } from "../context.js";
import { cancelError, framesOf, toVitrineError } from "../error-response.js";
import type { Abortable, Exchange } from "../exchange.js";
import { RequestLatencies } from "../metrics/request-latencies.js";
import type { GenerationRequest } from "../request/schema.js";
import { RequestCost } from "../request-cost.js";
import type { AnswerReason, Piece, TokenCounts } from "./answer-format.js";
import { Choice, type ChoiceRequest } from "./choice.js";

/** Takes the choices of one answer: for each begin, piece…, end; then exactly one of finish and fail for all. */
export interface Answer {
  /** Its first token has come, though its text may be held back. */
  begin(choice: number): void;
  piece(choice: number, piece: Piece): void;
  end(choice: number, reason: AnswerReason): void;
  /** `at` is when the last token was known. */
  finish(tokens: TokenCounts, at: Micros): void;
  fail(error: VitrineError): void;
}

/** One request at the engine, from submission to its end: its choices' tokens to text, cancelling, counting. */
export class Generation implements Abortable {
  readonly #choices: readonly Choice[];
  readonly #latencies: RequestLatencies;
  readonly #cost: RequestCost;
  /** Requests that the engine has not ended. */
  readonly #atEngine = new Set<Choice>();
  readonly #cached = new Map<Choice, number>();
  /** The answer is decided; what the engine still sends changes nothing. */
  #settled = false;
  #release: () => void = () => {};

  constructor(
    private readonly context: ServerContext,
    private readonly exchange: Exchange,
    private readonly requests: readonly ChoiceRequest[],
    private readonly wanted: GenerationRequest,
    private readonly answer: Answer,
  ) {
    this.#choices = requests.map((request, index) => new Choice(context, wanted, index, request));
    this.#cost = new RequestCost(context.tracing.cost);
    exchange.cost = this.#cost;
    this.#latencies = new RequestLatencies(context.metrics.latencies, exchange.request);
  }

  start(): void {
    const { context, exchange } = this;
    this.#release = exchange.hold(this);
    exchange.startDeadline();
    for (const choice of this.#choices) this.#atEngine.add(choice);
    this.requests.forEach(({ request }, index) => {
      const choice = this.#choices[index] as Choice;
      context.engine.submit(request, (event) => this.#observe(choice, event));
    });
  }

  abort(cause: CancelCause): void {
    if (this.#settled) return;
    this.#fail(cancelError(cause, this.exchange.request.limit));
    for (const { id } of this.#atEngine) this.context.engine.cancel(id, cause);
  }

  #observe(choice: Choice, event: RequestEvent): void {
    this.#cost.observe(choice.index, event);
    const over = this.#settled || choice.reason !== undefined;
    // After the answer is decided, late tokens are nobody's.
    if (event.type !== "token" || !(over || !choice.hasTokens)) this.exchange.request.trace?.observe(event);
    this.#latencies.phase(choice.index, event);
    try {
      if (!over) this.#take(choice, event);
    } catch (thrown) {
      this.context.logger.error({ request_id: this.exchange.request.id, stack: framesOf(thrown) }, "decoding failed");
      this.#giveUp(toVitrineError(thrown));
    } finally {
      if (event.type === "ended") this.#leftEngine(choice);
    }
  }

  #take(choice: Choice, event: RequestEvent): void {
    if (event.type === "admitted") this.#admitted(choice, event.allocation.reusedTokens);
    else if (event.type === "prompt_logprobs") choice.score(event.positions);
    else if (event.type === "ended") this.#ended(choice, event.outcome, event.at);
    else if (event.type === "token" && choice.hasTokens) {
      const { token, logprobs, at } = event;
      this.#latencies.token(choice.index, at);
      this.#begin(choice);
      this.#send(choice, choice.push(token, logprobs));
      if (!choice.matched) return;
      this.#finish(choice, "stop", at);
      this.context.engine.stop(choice.id);
    }
  }

  /** A prompt counts once, and so does what was cached of it: the first time, since a preempted request finds its own. */
  #admitted(choice: Choice, reusedTokens: number): void {
    choice.resumeAfter(reusedTokens);
    if (choice.index % this.wanted.n === 0 && !this.#cached.has(choice)) this.#cached.set(choice, reusedTokens);
  }

  #ended(choice: Choice, outcome: Outcome, at: Micros): void {
    switch (outcome.kind) {
      case "finished":
        this.#begin(choice);
        if (choice.hasTokens) this.#send(choice, choice.flush());
        this.#finish(choice, choice.matched ? "stop" : choice.hasTokens ? outcome.reason : "length", at);
        break;
      case "cancelled":
        this.#giveUp(cancelError(outcome.cause, this.exchange.request.limit));
        break;
      case "failed":
        this.#giveUp(VitrineError.fromWire(outcome.error));
        break;
    }
  }

  #leftEngine(choice: Choice): void {
    this.#atEngine.delete(choice);
    this.context.admission.ended();
    if (this.#atEngine.size === 0) this.#release();
  }

  #begin(choice: Choice): void {
    const opening = choice.begin();
    if (opening === undefined) return;
    this.answer.begin(choice.index);
    this.#send(choice, opening);
  }

  #send({ index }: Choice, piece: Piece): void {
    if (piece.text !== "" || piece.calls !== undefined || (piece.tokens !== undefined && piece.tokens.length > 0))
      this.answer.piece(index, piece);
  }

  #finish(choice: Choice, reason: FinishReason, at: Micros): void {
    choice.reason = reason;
    this.#latencies.end(choice.index, choice.tokens);
    this.answer.end(choice.index, choice.toldReason(reason));
    if (this.#choices.some((other) => other.reason === undefined)) return;
    this.#settle();
    this.answer.finish(this.#tokens(), at);
  }

  #fail(error: VitrineError): void {
    if (this.#settled) return;
    this.#settle();
    this.exchange.error ??= error;
    this.answer.fail(error);
  }

  /** One choice cannot be had: neither can the answer, and the others are not needed any more. */
  #giveUp(error: VitrineError): void {
    this.#fail(error);
    for (const { id } of this.#atEngine) this.context.engine.stop(id);
  }

  #settle(): void {
    this.#settled = true;
    this.exchange.tokens = this.#tokens();
  }

  #tokens(): TokenCounts {
    const sum = (numbers: Iterable<number>): number => [...numbers].reduce((total, number) => total + number, 0);
    const prompts = this.requests.filter((_, index) => index % this.wanted.n === 0);
    return {
      prompt: sum(prompts.map(({ request }) => request.prompt.length)),
      cached: sum(this.#cached.values()),
      completion: sum(this.#choices.map(({ tokens }) => tokens)),
    };
  }
}
