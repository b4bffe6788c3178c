/** A target that answers each request as the test says, over real sockets. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Asked {
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: Record<string, unknown>;
  /** Of the connection it came on. */
  readonly remotePort: number | undefined;
}

export type Script = (response: ServerResponse, asked: Asked) => void;

export class ScriptedServer {
  readonly asked: Asked[] = [];
  script: Script = streams(["a", "b", "c"]);
  /** What GET answers: a list of one model, but for other statuses than 200. */
  getStatus = 200;

  private constructor(private readonly server: Server) {}

  static async start(): Promise<ScriptedServer> {
    const server = createServer();
    const scripted = new ScriptedServer(server);
    server.on("request", (request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => scripted.#answer(request, Buffer.concat(chunks).toString(), response));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return scripted;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  stop(): void {
    this.server.closeAllConnections();
    this.server.close();
  }

  #answer(request: IncomingMessage, text: string, response: ServerResponse): void {
    const path = request.url ?? "";
    if (request.method === "GET") {
      response.statusCode = this.getStatus;
      const models = this.getStatus === 200 && path.endsWith("/models") ? { data: [{ id: "scripted" }] } : {};
      response.setHeader("content-type", "application/json").end(JSON.stringify(models));
      return;
    }
    const body = JSON.parse(text) as Record<string, unknown>;
    const asked = { path, headers: request.headers, body, remotePort: request.socket.remotePort };
    this.asked.push(asked);
    this.script(response, asked);
  }
}

const event = (value: unknown): string => `data: ${JSON.stringify(value)}\n\n`;

/** Streams these pieces, then usage, as many tokens as there are pieces. */
export function streams(pieces: readonly string[], end = "data: [DONE]\n\n"): Script {
  return (response) => {
    response.setHeader("content-type", "text/event-stream");
    for (const text of pieces) response.write(event({ choices: [{ delta: { content: text } }] }));
    response.write(event({ choices: [{ delta: {}, finish_reason: "stop" }] }));
    response.write(event({ choices: [], usage: { prompt_tokens: 11, completion_tokens: pieces.length } }));
    response.end(end);
  };
}

/** A whole JSON body. */
export function answers(status: number, body: unknown, headers: Record<string, string> = {}): Script {
  return (response) => {
    response.writeHead(status, { "content-type": "application/json", ...headers });
    response.end(typeof body === "string" ? body : JSON.stringify(body));
  };
}
