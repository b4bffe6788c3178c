import * as http from "node:http";
import * as https from "node:https";
import { constants, gzipSync } from "node:zlib";
import { retryAfterMs } from "./retry.js";
import type { Sender, SendResult } from "./sender.js";

/** Less than this is one packet anyway. */
const GZIP_BYTES = 1_400;
const GZIP = { level: constants.Z_BEST_SPEED };

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
    const plain = Buffer.from(`[${spans.join(",")}]`);
    // Not on the thread pool, which is the whole process's: this thread has time.
    const zipped = plain.length >= GZIP_BYTES;
    const body = zipped ? gzipSync(plain, GZIP) : plain;
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
        headers: headers(body, zipped),
      });
      request.on("error", fail);
      request.on("response", (response) => {
        const { statusCode = 0 } = response;
        const retryAfter = retryAfterMs(response.headers["retry-after"], Date.now());
        response.on("error", () => {});
        // The status decides; waiting for the end keeps one request in flight and the connection usable.
        response.on("close", () => resolve(resultOf(statusCode, retryAfter)));
        response.resume();
      });
      request.end(body);
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

function headers(body: Buffer, zipped: boolean): http.OutgoingHttpHeaders {
  return {
    "content-type": "application/json",
    "content-length": body.length,
    ...(zipped ? { "content-encoding": "gzip" } : {}),
    // "Do not trace this": a proxy on the way, or the collector itself, makes no span of our reports.
    b3: "0",
  };
}

/** Answers about what was sent, and not about who sent it, where to, or how often. */
const REFUSALS = new Set([400, 413, 422]);

function resultOf(status: number, retryAfterMs: number): SendResult {
  if (status >= 200 && status < 300) return { ok: true };
  const reason = `HTTP status ${status}`;
  if (status >= 500 || status === 429) return { ok: false, cause: "server_error", reason, retryAfterMs };
  return { ok: false, cause: REFUSALS.has(status) ? "refused" : "rejected", reason };
}
