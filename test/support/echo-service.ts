import { once } from "node:events";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { json } from "node:stream/consumers";
import { defaultTextMapGetter, defaultTextMapSetter, ROOT_CONTEXT, trace } from "@opentelemetry/api";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-node";
import { ZipkinPropagator } from "../../src/tracing/context/propagator.js";

/** One call the service is asked to make: a POST of `arguments` to `url`. */
interface Call {
  readonly url: string;
  readonly arguments: unknown;
}

/**
 * A service with tracing and nothing else, as W3C's trace-context test harness wants one
 * (https://github.com/w3c/trace-context/tree/main/test): a POST of a list of calls makes them one after the other, each
 * from a span of its own in the trace that came in, and is answered with the list of their answers.
 */
export class EchoService {
  readonly #propagator = new ZipkinPropagator("w3c");
  readonly #tracer = new BasicTracerProvider().getTracer("echo");

  private constructor(private readonly server: Server) {}

  /** On a free port of the loopback interface. */
  static async start(): Promise<EchoService> {
    const server = createServer();
    const service = new EchoService(server);
    server.on("request", async (request, response) => {
      try {
        const answers = JSON.stringify(await service.#answer(request));
        response.setHeader("content-type", "application/json").end(answers);
      } catch (error) {
        response.writeHead(500).end(String(error));
      }
    });
    await once(server.listen(0, "127.0.0.1"), "listening");
    return service;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/`;
  }

  stop(): void {
    this.server.closeAllConnections();
    this.server.close();
  }

  async #answer(request: IncomingMessage): Promise<unknown[]> {
    const parent = this.#propagator.extract(ROOT_CONTEXT, request.headers, defaultTextMapGetter);
    const answers: unknown[] = [];
    for (const call of (await json(request)) as Call[]) {
      const headers: Record<string, string> = { "content-type": "application/json" };
      const context = trace.setSpan(parent, this.#tracer.startSpan("call", {}, parent));
      this.#propagator.inject(context, headers, defaultTextMapSetter);
      const response = await fetch(call.url, { method: "POST", headers, body: JSON.stringify(call.arguments) });
      answers.push(await response.json());
    }
    return answers;
  }
}
