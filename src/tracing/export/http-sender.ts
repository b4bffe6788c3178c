import * as http from "node:http";
import * as https from "node:https";
import type { Sender, SendResult } from "./sender.js";

/** POSTs Zipkin v2 JSON over one kept-alive connection. */
export class HttpSender implements Sender {
  readonly target: string;
  readonly #url: URL;
  readonly #transport: typeof http | typeof https;
  readonly #agent: http.Agent;

  constructor(endpoint: string) {
    this.#url = new URL(endpoint);
    // Credentials may be part of the URL; the log does not get them.
    this.target = `${this.#url.origin}${this.#url.pathname}`;
    this.#transport = this.#url.protocol === "https:" ? https : http;
    this.#agent = new this.#transport.Agent({ keepAlive: true, maxSockets: 1 });
  }

  send(spans: readonly string[], timeoutMs: number): Promise<SendResult> {
    const body = Buffer.from(`[${spans.join(",")}]`);
    const signal = AbortSignal.timeout(timeoutMs);
    return new Promise((resolve) => {
      const fail = (error: NodeJS.ErrnoException): void =>
        resolve(
          signal.aborted
            ? { ok: false, cause: "timeout", reason: `no answer within ${timeoutMs} ms` }
            : { ok: false, cause: "connection_failed", reason: error.code ?? error.message },
        );
      const request = this.#transport.request(this.#url, {
        method: "POST",
        agent: this.#agent,
        signal,
        headers: headers(body),
      });
      request.on("error", fail);
      request.on("response", (response) => {
        const { statusCode = 0 } = response;
        response.on("error", () => {});
        // The status decides; waiting for the end keeps one request in flight and the connection usable.
        response.on("close", () => resolve(resultOf(statusCode)));
        response.resume();
      });
      request.end(body);
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

function headers(body: Buffer): http.OutgoingHttpHeaders {
  return {
    "content-type": "application/json",
    "content-length": body.length,
    // "Do not trace this": a proxy on the way, or the collector itself, makes no span of our reports.
    b3: "0",
  };
}

export function resultOf(status: number): SendResult {
  if (status >= 200 && status < 300) return { ok: true };
  const cause = status >= 500 || status === 429 ? "server_error" : "rejected";
  return { ok: false, cause, reason: `HTTP status ${status}` };
}
