import type { FastifyInstance } from "fastify";
import { createApp } from "./app.js";
import { createContext, type ServerContext } from "./context.js";
import { listenError } from "./listening.js";
import type { ServerOptions } from "./options.js";

/** How long cancelled requests may take to end once draining has run out of time. */
const CANCEL_GRACE_MS = 1000;

/** Makes the HTTP service; `listen` opens it. */
export function createServer(options: ServerOptions): VitrineServer {
  const context = createContext(options);
  return new VitrineServer(context, createApp(context));
}

export class VitrineServer {
  constructor(
    private readonly context: ServerContext,
    private readonly app: FastifyInstance,
  ) {}

  /** Resolves with the service's URL; port 0 takes a free one. Throws VitrineError `port_unavailable`. */
  async listen(host: string, port: number): Promise<string> {
    try {
      return await this.app.listen({ host, port });
    } catch (thrown) {
      throw listenError(thrown, { flag: "--port", host, port });
    }
  }

  /**
   * Refuses new requests with 503, waits up to `timeoutMs` for the running ones, then cancels the rest.
   * `/health`, `/ready` (503), `/metrics` and `/zipkin` go on answering until `close`.
   */
  async drain(timeoutMs: number): Promise<void> {
    this.context.admission.drain();
    if (await this.context.exchanges.idleWithin(timeoutMs)) return;
    for (const exchange of this.context.exchanges.all()) exchange.abort("drain");
    await this.context.exchanges.idleWithin(CANCEL_GRACE_MS);
  }

  /** Closes every connection; every request that is still there ends, traced as what it is. */
  async close(): Promise<void> {
    this.context.admission.drain();
    await this.app.close();
    for (const exchange of this.context.exchanges.all()) exchange.abandon();
  }
}
