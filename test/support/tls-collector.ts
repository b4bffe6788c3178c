/** A collector behind TLS that asks for client certificates; with `upstream`, a proxy in front of a real one. */

import { readFileSync } from "node:fs";
import { request as forward } from "node:http";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import type { TLSSocket } from "node:tls";
import type { Pair } from "./certificates.js";

export class TlsCollector {
  /** Bodies, and the names in the client certificates they came with. */
  readonly bodies: Buffer[] = [];
  readonly clients: string[] = [];
  readonly headers: Record<string, unknown>[] = [];
  connections = 0;

  private constructor(private readonly server: Server) {}

  static async start(server: Pair, authority: Pair, upstream?: string): Promise<TlsCollector> {
    const [cert, key, ca] = [server.cert, server.key, authority.cert].map((file) => readFileSync(file));
    const listener = createServer({ cert, key, ca, requestCert: true, rejectUnauthorized: true });
    const collector = new TlsCollector(listener);
    listener.on("secureConnection", () => void collector.connections++);
    listener.on("request", (request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        const body = Buffer.concat(chunks);
        collector.bodies.push(body);
        collector.headers.push(request.headers);
        collector.clients.push(String((request.socket as TLSSocket).getPeerCertificate().subject.CN));
        if (upstream === undefined) response.writeHead(202).end();
        else {
          const { method, headers } = request;
          const on = forward(new URL(request.url ?? "/", upstream), { method, headers }, (answer) => {
            response.writeHead(answer.statusCode ?? 502);
            answer.pipe(response);
          });
          on.on("error", () => response.writeHead(502).end());
          on.end(body);
        }
      });
    });
    await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
    return collector;
  }

  get url(): string {
    return `https://localhost:${(this.server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
  }
}
