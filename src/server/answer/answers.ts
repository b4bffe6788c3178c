import type { FastifyReply } from "fastify";
import type { VitrineError } from "../../errors.js";
import type { Micros } from "../../protocol.js";
import { errorBody } from "../error-response.js";
import type { Exchange } from "../exchange.js";
import type { AnswerFormat, AnswerReason, FinishedChoice, Piece, TokenCounts } from "./answer-format.js";
import type { Answer } from "./generation.js";
import { EventStream, SSE_DONE, sseEvent } from "./sse.js";

/** A promise and its two ends. */
class Deferred<T> {
  resolve: (value: T) => void = () => {};
  reject: (error: Error) => void = () => {};
  readonly promise = new Promise<T>((resolve, reject) => {
    this.resolve = resolve;
    this.reject = reject;
  });
}

/** Several pieces as one. */
const joined = (pieces: readonly Piece[]): Piece => ({
  text: pieces.map(({ text }) => text).join(""),
  tokens: pieces[0]?.tokens === undefined ? undefined : pieces.flatMap(({ tokens }) => tokens ?? []),
  calls: pieces.some(({ calls }) => calls) ? pieces.flatMap(({ calls }) => calls ?? []) : undefined,
});

/** Pieces of each choice that have not been sent. */
class Waiting {
  readonly #choices = new Map<number, Piece[]>();

  add(choice: number, piece: Piece): void {
    const pieces = this.#choices.get(choice);
    if (pieces === undefined) this.#choices.set(choice, [piece]);
    else pieces.push(piece);
  }

  /** All of one choice, which then has none; undefined when it has none. */
  take(choice: number): Piece | undefined {
    const pieces = this.#choices.get(choice);
    this.#choices.delete(choice);
    return pieces === undefined ? undefined : joined(pieces);
  }

  get choices(): readonly number[] {
    return [...this.#choices.keys()];
  }
}

/** An answer sent in one piece: `reply` resolves with the object to send, or rejects. */
export class WholeAnswer implements Answer {
  readonly #reply = new Deferred<object>();
  readonly #waiting = new Waiting();
  readonly #finished: FinishedChoice[] = [];

  /** @param withTokens log probabilities are asked for */
  constructor(
    private readonly exchange: Exchange,
    private readonly format: AnswerFormat,
    private readonly withTokens: boolean,
  ) {}

  get reply(): Promise<object> {
    return this.#reply.promise;
  }

  begin(): void {}

  piece(choice: number, piece: Piece): void {
    this.#waiting.add(choice, piece);
  }

  end(choice: number, reason: AnswerReason): void {
    const nothing: Piece = { text: "", tokens: this.withTokens ? [] : undefined };
    this.#finished[choice] = { ...(this.#waiting.take(choice) ?? nothing), reason };
  }

  finish(tokens: TokenCounts, at: Micros): void {
    this.exchange.writing = { name: "detokenize", start: at, chunks: 1 };
    this.#reply.resolve(this.format.whole(this.#finished, tokens));
  }

  fail(error: VitrineError): void {
    this.#reply.reject(error);
  }
}

/**
 * An answer sent as it comes. The response opens with the first token, so that whatever fails before has its own
 * status code: `reply` rejects then, and otherwise resolves when the reply has been taken over from Fastify.
 * While the client is slow, text collects into one chunk a choice; it is at most the answer, whose length is bounded.
 */
export class StreamedAnswer implements Answer {
  readonly #reply = new Deferred<void>();
  readonly #waiting = new Waiting();
  #stream: EventStream | undefined;

  constructor(
    private readonly exchange: Exchange,
    private readonly clock: () => Micros,
    private readonly response: FastifyReply,
    private readonly format: AnswerFormat,
    private readonly includeUsage: boolean,
  ) {}

  get reply(): Promise<void> {
    return this.#reply.promise;
  }

  begin(choice: number): void {
    const stream = this.#open();
    const opening = this.format.opening(choice);
    if (opening !== undefined) stream.send(opening);
    this.#count();
  }

  piece(choice: number, piece: Piece): void {
    const stream = this.#open();
    if (stream.blocked) this.#waiting.add(choice, piece);
    else stream.send(this.format.chunk(choice, piece));
    this.#count();
  }

  end(choice: number, reason: AnswerReason): void {
    const stream = this.#open();
    this.#sendWaiting();
    stream.send(this.format.last(choice, reason));
    this.#count();
  }

  finish(tokens: TokenCounts): void {
    const stream = this.#open();
    if (this.includeUsage) stream.send(this.format.usage(tokens));
    stream.end(SSE_DONE);
    this.#count();
  }

  fail(error: VitrineError): void {
    if (this.#stream === undefined) {
      this.#reply.reject(error);
      return;
    }
    this.#sendWaiting();
    // OpenAI's clients raise on an event that has `error`; without [DONE] nobody takes the answer for complete.
    this.#stream.end(sseEvent(errorBody(error.toWire())));
    this.#count();
  }

  #open(): EventStream {
    if (this.#stream !== undefined) return this.#stream;
    this.exchange.writing = { name: "stream", start: this.clock(), chunks: 0 };
    this.response.hijack();
    const stream = new EventStream(this.response.raw, this.response.getHeaders(), () => this.#sendWaiting());
    this.#stream = stream;
    this.#reply.resolve();
    return stream;
  }

  #sendWaiting(): void {
    for (const choice of this.#waiting.choices) {
      const piece = this.#waiting.take(choice);
      if (piece !== undefined) this.#stream?.send(this.format.chunk(choice, piece));
    }
    this.#count();
  }

  #count(): void {
    if (this.exchange.writing && this.#stream) this.exchange.writing.chunks = this.#stream.chunks;
  }
}
