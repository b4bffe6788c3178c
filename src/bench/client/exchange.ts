import type { ClientRequest, IncomingMessage } from "node:http";
import type { Outcome } from "../result.js";
import { AnswerReader } from "./answer-reader.js";
import { readErrorCode } from "./completion-schema.js";

/** More of an error's body is not read. */
const MAX_ERROR_CHARS = 65_536;

export interface Sending {
  /** JSON. */
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Leave after so many milliseconds. */
  readonly cancelAfterMs?: number;
  /** Ends the request at once. */
  readonly signal: AbortSignal;
}

export interface Answer {
  /** When the request was handed to the connection. */
  readonly sent: number;
  /** When the last of the answer came, or it was known that none would. */
  readonly end: number;
  readonly status?: number;
  readonly outcome: Outcome;
  readonly reader: AnswerReader;
}

export interface ExchangeOptions {
  readonly streaming: boolean;
  readonly timeoutMs: number;
  readonly now: () => number;
}

/** One POST from its sending to its outcome. The first thing that decides the outcome holds. */
export class Exchange {
  readonly #reader: AnswerReader;
  #status: number | undefined;
  #settled = false;
  #settle: (answer: Answer | "stale connection") => void = () => {};

  constructor(
    private readonly request: ClientRequest,
    private readonly sent: number,
    private readonly options: ExchangeOptions,
  ) {
    this.#reader = new AnswerReader(options.streaming);
  }

  run({ body, cancelAfterMs, signal }: Sending): Promise<Answer | "stale connection"> {
    const { request } = this;
    const cancel = (): void => this.#end({ kind: "cancelled" });
    const timeout = setTimeout(() => this.#end({ kind: "broken", reason: "timeout" }), this.options.timeoutMs);
    const leave = cancelAfterMs === undefined ? undefined : setTimeout(cancel, cancelAfterMs);
    signal.addEventListener("abort", cancel);
    request.on("response", (response) => this.#receive(response));
    request.on("error", (error: NodeJS.ErrnoException) => this.#fail(error));
    const settled = new Promise<Answer | "stale connection">((resolve) => {
      this.#settle = resolve;
    });
    if (signal.aborted) cancel();
    else request.end(body);
    return settled.finally(() => {
      clearTimeout(timeout);
      clearTimeout(leave);
      signal.removeEventListener("abort", cancel);
    });
  }

  #receive(response: IncomingMessage): void {
    const { statusCode: status = 0, headers } = response;
    this.#status = status;
    response.setEncoding("utf8");
    response.on("error", () => this.#end({ kind: "broken", reason: "truncated" }));
    if (status < 200 || status > 299) this.#refused(response, status);
    else if (this.options.streaming && !/^text\/event-stream\b/i.test(headers["content-type"] ?? "")) {
      this.#end({ kind: "broken", reason: "not an event stream" });
    } else {
      response.on("data", (piece: string) => this.#reader.take(piece, this.options.now()));
      response.on("end", () => this.#finish(this.#reader.outcome(this.options.now()), this.#reader.end));
    }
  }

  #refused(response: IncomingMessage, status: number): void {
    let body = "";
    response.on("data", (piece: string) => {
      if (body.length < MAX_ERROR_CHARS) body += piece;
    });
    response.on("end", () => {
      const code = readErrorCode(body);
      const after = Number(response.headers["retry-after"] ?? Number.NaN);
      this.#finish(
        {
          kind: "http",
          status,
          ...(code === undefined ? {} : { code }),
          ...(Number.isFinite(after) ? { retryAfterSeconds: after } : {}),
        },
        this.options.now(),
      );
    });
  }

  #fail(error: NodeJS.ErrnoException): void {
    const unused = this.#status === undefined && this.request.reusedSocket;
    if (unused && (error.code === "ECONNRESET" || error.code === "EPIPE") && !this.#settled) {
      this.#settled = true;
      this.#settle("stale connection");
    } else this.#end({ kind: "broken", reason: this.#status === undefined ? (error.code ?? error.name) : "truncated" });
  }

  /** Decides, and leaves the connection. */
  #end(outcome: Outcome): void {
    this.#finish(outcome, this.options.now());
    this.request.destroy();
  }

  #finish(outcome: Outcome, end: number): void {
    if (this.#settled) return;
    this.#settled = true;
    const status = this.#status === undefined ? {} : { status: this.#status };
    this.#settle({ sent: this.sent, end, ...status, outcome, reader: this.#reader });
  }
}
