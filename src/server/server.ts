import type { FastifyInstance } from "fastify";
import { VitrineError } from "../errors.js";
import { createApp } from "./app.js";
import { createContext, type ServerContext } from "./context.js";
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
      throw listenError(thrown, host, port);
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

export function listenError(thrown: unknown, host: string, port: number, flag = "--port"): VitrineError {
  const code = thrown instanceof Error && "code" in thrown ? thrown.code : undefined;
  const cause = { cause: thrown };
  switch (code) {
    case "EADDRINUSE":
      return new VitrineError(
        "port_unavailable",
        `Port ${port} on ${host} is taken: stop what listens there, or choose another with ${flag} (0 takes a free one).`,
        cause,
      );
    case "EACCES":
      return new VitrineError(
        "port_unavailable",
        `Port ${port} may not be opened by this user: use ${flag} 1024 or above.`,
        cause,
      );
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
      return new VitrineError(
        "port_unavailable",
        `${host} is not an address of this machine: use --host 127.0.0.1 or 0.0.0.0.`,
        cause,
      );
    default:
      return VitrineError.from(thrown, "port_unavailable");
  }
}
