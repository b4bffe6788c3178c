import type { FastifyReply } from "fastify";
import type { VitrineError } from "../errors.js";
import type { FinishReason, Micros } from "../protocol.js";
import type { AnswerFormat, TokenCounts } from "./answer-format.js";
import { errorBody } from "./error-response.js";
import type { Exchange } from "./exchange.js";
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

/** An answer sent in one piece: `reply` resolves with the object to send, or rejects. */
export class WholeAnswer implements Answer {
  readonly #reply = new Deferred<object>();
  readonly #pieces: string[] = [];

  constructor(
    private readonly exchange: Exchange,
    private readonly format: AnswerFormat,
  ) {}

  get reply(): Promise<object> {
    return this.#reply.promise;
  }

  begin(): void {}

  text(piece: string): void {
    this.#pieces.push(piece);
  }

  finish(reason: FinishReason, tokens: TokenCounts, at: Micros): void {
    this.exchange.writing = { name: "detokenize", start: at, chunks: 1 };
    this.#reply.resolve(this.format.whole(this.#pieces.join(""), reason, tokens));
  }

  fail(error: VitrineError): void {
    this.#reply.reject(error);
  }
}

/**
 * An answer sent as it comes. The response opens with the first token, so that whatever fails before has its own
 * status code: `reply` rejects then, and otherwise resolves when the reply has been taken over from Fastify.
 * While the client is slow, text collects into one chunk; it is at most the answer, whose length is bounded.
 */
export class StreamedAnswer implements Answer {
  readonly #reply = new Deferred<void>();
  #stream: EventStream | undefined;
  #waiting = "";

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

  begin(): void {
    this.#open();
  }

  text(piece: string): void {
    const stream = this.#open();
    this.#waiting += piece;
    if (!stream.blocked) this.#sendWaiting();
  }

  finish(reason: FinishReason, tokens: TokenCounts): void {
    const stream = this.#open();
    this.#sendWaiting();
    stream.send(this.format.last(reason));
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
    const opening = this.format.opening();
    if (opening !== undefined) stream.send(opening);
    this.#count();
    this.#reply.resolve();
    return stream;
  }

  #sendWaiting(): void {
    if (this.#waiting === "") return;
    const text = this.#waiting;
    this.#waiting = "";
    this.#stream?.send(this.format.chunk(text));
    this.#count();
  }

  #count(): void {
    if (this.exchange.writing && this.#stream) this.exchange.writing.chunks = this.#stream.chunks;
  }
}
