/** Connections to an OpenAI-compatible target: kept, reused, and as many as there are requests at once. */
import * as http from "node:http";
import * as https from "node:https";
import type { Outcome } from "../result.js";
import type { AnswerReader } from "./answer-reader.js";
import { Exchange } from "./exchange.js";

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

export interface HttpClientOptions {
  /** Full address of the route. */
  readonly url: string;
  readonly streaming: boolean;
  readonly timeoutMs: number;
  readonly now: () => number;
}

export class HttpClient {
  readonly #url: URL;
  readonly #agent: http.Agent;
  readonly #request: typeof http.request;

  constructor(private readonly options: HttpClientOptions) {
    this.#url = new URL(options.url);
    const secure = this.#url.protocol === "https:";
    const limits = { keepAlive: true, maxSockets: Number.POSITIVE_INFINITY, maxFreeSockets: Number.POSITIVE_INFINITY };
    this.#agent = secure ? new https.Agent(limits) : new http.Agent(limits);
    this.#request = secure ? https.request : http.request;
  }

  /** Nothing is tried again, whatever the answer. Never rejects. */
  async send(sending: Sending): Promise<Answer> {
    const sent = this.options.now();
    const answer = await this.#exchange(sending, sent, this.#agent);
    // A target may close an idle connection just as it is used; that says nothing about the request, which it never saw.
    return answer === "stale connection" ? this.#exchange(sending, sent, false).then(notStale) : answer;
  }

  close(): void {
    this.#agent.destroy();
  }

  #exchange(sending: Sending, sent: number, agent: http.Agent | false): Promise<Answer | "stale connection"> {
    const headers = { ...sending.headers, "content-length": Buffer.byteLength(sending.body) };
    const request = this.#request(this.#url, { method: "POST", agent, headers });
    return new Exchange(request, sent, this.options).run(sending);
  }
}

function notStale(answer: Answer | "stale connection"): Answer {
  if (answer === "stale connection") throw new Error("a fresh connection is never stale");
  return answer;
}
