import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { VitrineError } from "../errors.js";
import type { CancelCause, Micros } from "../protocol.js";
import type { IdentityHash, RequestTrace } from "../tracing/contract.js";
import type { TokenCounts } from "./answer/answer-format.js";
import { clientClosed, requestTimedOut } from "./error-response.js";
import type { RequestCost } from "./request-cost.js";
import type { TimeLimit } from "./time-limit.js";

/** How long a response that is past its deadline may take to reach a client that does not read. */
const FLUSH_GRACE_MS = 1000;

export interface ExchangeStart {
  readonly id: string;
  readonly method: string;
  /** The route's pattern; what no route matched shares one name, so that labels stay few. */
  readonly route: string;
  readonly start: Micros;
  /** Only generating routes are traced. */
  readonly trace: RequestTrace | undefined;
  readonly limit: TimeLimit;
  readonly response: ServerResponse;
  readonly socket: Socket;
}

/** What works for an exchange: the engine, or the tokenizer. */
export interface Abortable {
  abort(cause: CancelCause): void;
}

/**
 * One HTTP request and its response. It is over once, when the response has left or the connection has closed, and
 * the engine has let go of it; `onOver` is called then, after the trace was finished.
 */
export class Exchange {
  /** Why the answer is not the one asked for. */
  error: VitrineError | undefined;
  tokens: TokenCounts | undefined;
  /** Whose API key it came with. */
  apiKey: IdentityHash | undefined;
  /** Its share of the steps it was in; absent until it is at the engine. */
  cost: Pick<RequestCost, "deviceSeconds" | "joules"> | undefined;
  /** Gives back what was taken for it at admission. */
  leave: (() => void) | undefined;
  /** Writing the answer: the last child span of `model.generate`. */
  writing: { readonly name: "stream" | "detokenize"; readonly start: Micros; chunks: number } | undefined;

  #bodyReceived: Micros;
  /** The event loop has gone on since the headers came. */
  #turned = false;
  #work: Abortable | undefined;
  #held = false;
  #responseEnd: Micros | undefined;
  #gone = false;
  #over = false;
  #deadline: NodeJS.Timeout | undefined;
  readonly #onClose = (): void => this.#responseOver(false);

  constructor(
    readonly request: ExchangeStart,
    private readonly clock: () => Micros,
    private readonly onOver: (exchange: Exchange, at: Micros) => void,
  ) {
    this.#bodyReceived = request.start;
    setImmediate(() => {
      this.#turned = true;
    });
    // Node says `finish` also for what was still unsent when the connection was destroyed. Before Node's own listener,
    // which may end the connection.
    request.response.prependOnceListener("finish", () => this.#responseOver(!request.socket.destroyed));
    request.response.once("close", this.#onClose);
    // A pipelined response has no socket yet, and then no `close` of its own.
    request.socket.once("close", this.#onClose);
  }

  /** True once the client has closed the connection before the response was complete. */
  get gone(): boolean {
    return this.#gone;
  }

  /** Since when the request is ours to answer. */
  get bodyReceived(): Micros {
    return this.#bodyReceived;
  }

  /** A body that came along with the headers was never waited for: the time in between was spent here. */
  receivedBody(): void {
    if (this.#turned) this.#bodyReceived = this.clock();
  }

  get status(): number {
    const { response } = this.request;
    return response.headersSent ? response.statusCode : (this.error?.status ?? response.statusCode);
  }

  /** `work` is on for this exchange until the returned function is called. */
  hold(work: Abortable): () => void {
    this.#work = work;
    this.#held = true;
    return () => {
      this.#held = false;
      if (this.#responseEnd !== undefined) this.#finish(this.clock());
    };
  }

  /** Ends the work when time is up; a client that does not read its answer then loses its connection. */
  startDeadline(): void {
    clearTimeout(this.#deadline);
    const { limit } = this.request;
    const left = Math.max(0, limit.ms - (this.clock() - this.request.start) / 1000);
    this.#deadline = setTimeout(() => {
      this.#work?.abort("timeout");
      if (this.#responseEnd !== undefined) return;
      this.#deadline = setTimeout(() => {
        this.error ??= requestTimedOut(limit);
        this.request.socket.destroy();
      }, FLUSH_GRACE_MS);
    }, left);
  }

  abort(cause: CancelCause): void {
    this.#work?.abort(cause);
  }

  /** Ends the exchange without waiting for the client or the engine. */
  abandon(): void {
    this.#held = false;
    if (this.#responseEnd === undefined) this.#responseOver(false);
    this.#finish(this.clock());
  }

  #responseOver(complete: boolean): void {
    if (this.#responseEnd !== undefined) return;
    const { response, socket, trace } = this.request;
    const at = this.clock();
    this.#responseEnd = at;
    clearTimeout(this.#deadline);
    response.off("close", this.#onClose);
    socket.off("close", this.#onClose);
    if (!complete) {
      this.#gone = true;
      this.error ??= clientClosed();
    }
    if (this.writing) trace?.wrote({ ...this.writing, end: at });
    if (!complete) this.#work?.abort("client_gone");
    this.#finish(at);
  }

  #finish(at: Micros): void {
    if (this.#over || this.#held) return;
    this.#over = true;
    const { error, status } = this;
    this.request.trace?.finish({ status, at, ...(error === undefined ? {} : { error: error.toWire() }) });
    this.onOver(this, at);
  }
}
