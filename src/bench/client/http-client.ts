/** Connections to an OpenAI-compatible target: kept, reused, and as many as there are requests at once. */
import * as http from "node:http";
import * as https from "node:https";
import { type Answer, Exchange, type ExchangeOptions, type Sending } from "./exchange.js";

export interface HttpClientOptions extends ExchangeOptions {
  /** Full address of the route. */
  readonly url: string;
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
