import * as http from "node:http";
import * as https from "node:https";
import { constants, gzipSync } from "node:zlib";
import { retryAfterMs } from "./retry.js";
import type { Sender, SendResult } from "./sender.js";
import { tlsFailure } from "./tls-failure.js";
import type { TlsFileReader, TlsIdentity } from "./tls-files.js";

/** Less than this is one packet anyway. */
const GZIP_BYTES = 1_400;
const GZIP = { level: constants.Z_BEST_SPEED };

/** How a batch of Zipkin v2 spans in JSON becomes a body. */
export interface BodyFormat {
  readonly contentType: string;
  encode(spans: readonly string[]): Buffer;
}

const JSON_FORMAT: BodyFormat = {
  contentType: "application/json",
  encode: (spans) => Buffer.from(`[${spans.join(",")}]`),
};

interface BodyForm {
  readonly contentType: string;
  readonly zipped: boolean;
}

interface HttpOptions {
  readonly format?: BodyFormat;
  /** Sent with every POST. Secrets: never logged. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly tls?: Pick<TlsFileReader, "current">;
}

/** POSTs Zipkin v2 spans over one kept-alive connection. */
export class HttpSender implements Sender {
  readonly target: string;
  readonly #url: URL;
  readonly #transport: typeof http | typeof https;
  #agent: http.Agent;
  #identity: TlsIdentity | undefined;

  constructor(
    endpoint: string,
    private readonly options: HttpOptions = {},
  ) {
    this.#url = new URL(endpoint);
    // Credentials may be part of the URL; the log does not get them.
    this.target = `${this.#url.origin}${this.#url.pathname}`;
    this.#transport = this.#url.protocol === "https:" ? https : http;
    this.#agent = new this.#transport.Agent({ keepAlive: true, maxSockets: 1 });
  }

  async send(spans: readonly string[], timeoutMs: number): Promise<SendResult> {
    try {
      this.#refreshTls();
    } catch (error) {
      return { ok: false, cause: "tls_failed", reason: (error as Error).message };
    }
    const { contentType, encode } = this.options.format ?? JSON_FORMAT;
    const plain = encode(spans);
    // Not on the thread pool, which is the whole process's: this thread has time.
    const zipped = plain.length >= GZIP_BYTES;
    return this.#post(zipped ? gzipSync(plain, GZIP) : plain, { contentType, zipped }, timeoutMs);
  }

  /** A new connection where the TLS files changed; none is in use between two POSTs. */
  #refreshTls(): void {
    const identity = this.options.tls?.current();
    if (identity === this.#identity) return;
    this.#identity = identity;
    this.#agent.destroy();
    this.#agent = new https.Agent({ keepAlive: true, maxSockets: 1, secureContext: identity?.context });
  }

  #post(body: Buffer, form: BodyForm, timeoutMs: number): Promise<SendResult> {
    const signal = AbortSignal.timeout(timeoutMs);
    return new Promise((resolve) => {
      const fail = (error: NodeJS.ErrnoException): void =>
        resolve(
          signal.aborted
            ? { ok: false, cause: "timeout", reason: `no answer within ${timeoutMs} ms` }
            : this.#failed(error),
        );
      const request = this.#transport.request(this.#url, {
        method: "POST",
        agent: this.#agent,
        signal,
        headers: { ...this.options.headers, ...headers(body, form) },
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

  #failed(error: NodeJS.ErrnoException): SendResult {
    const tls = tlsFailure(error, this.#identity?.expires, Date.now());
    if (tls !== undefined) return { ok: false, cause: "tls_failed", reason: tls };
    return { ok: false, cause: "connection_failed", reason: error.code ?? error.message };
  }

  close(): void {
    this.#agent.destroy();
  }
}

function headers(body: Buffer, { contentType, zipped }: BodyForm): http.OutgoingHttpHeaders {
  return {
    "content-type": contentType,
    "content-length": body.length,
    ...(zipped ? { "content-encoding": "gzip" } : {}),
    // "Do not trace this": a proxy on the way, or the collector itself, makes no span of our reports.
    b3: "0",
  };
}

/** Answers about what was sent, and not about who sent it, where to, or how often. */
const REFUSALS = new Set([400, 413, 422]);

export function resultOf(status: number, retryAfterMs: number): SendResult {
  if (status >= 200 && status < 300) return { ok: true };
  const reason = `HTTP status ${status}`;
  if (status >= 500 || status === 429) return { ok: false, cause: "server_error", reason, retryAfterMs };
  return { ok: false, cause: REFUSALS.has(status) ? "refused" : "rejected", reason };
}
