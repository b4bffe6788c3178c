import assert from "node:assert/strict";
import { once } from "node:events";
import { createConnection, type Socket } from "node:net";
import { Writable } from "node:stream";
import OpenAI from "openai";
import { pino } from "pino";
import type { ChatTemplate } from "../../src/runtime/text/chat-template.js";
import type { StreamDecoder } from "../../src/runtime/text/stream-decoder.js";
import type { Tokenizer } from "../../src/runtime/text/tokenizer.js";
import { FALLBACK_FORMAT } from "../../src/runtime/text/tool-format.js";
import type { ServerLimits, ServerOptions } from "../../src/server/options.js";
import { createServer, type VitrineServer } from "../../src/server/server.js";
import { FakeEngine } from "./fake-engine.js";
import { FakeTracing } from "./fake-tracing.js";

/** A token is a byte of UTF-8; 256 ends the sequence. */
export const byteTokenizer: Tokenizer = {
  vocabSize: 257,
  eosTokenIds: [256],
  encode: (text) => Int32Array.from(Buffer.from(text)),
  leastTokens: () => 0,
  decode: (ids) => Buffer.from(ids).toString(),
  bytesOf: (id) => (id < 256 ? Uint8Array.of(id) : Buffer.from("<end>")),
  stream(): StreamDecoder {
    const decoder = new TextDecoder();
    return {
      push: (id) => decoder.decode(Uint8Array.of(id), { stream: true }),
      flush: () => decoder.decode(),
    };
  },
};

export const lineTemplate: ChatTemplate = {
  toolFormat: FALLBACK_FORMAT,
  render: (messages) => `${messages.map(({ role, content }) => `${role}: ${content}`).join("\n")}\nassistant:`,
};

export const LIMITS: ServerLimits = { maxInFlight: 128, maxPerKey: 0, requestTimeoutMs: 60_000 };

export interface LogLine {
  readonly [field: string]: unknown;
}

/** A server over fakes, on a free port of the loopback. */
export class ServerHarness {
  readonly engine = new FakeEngine();
  readonly tracing = new FakeTracing();
  readonly log: LogLine[] = [];
  server!: VitrineServer;
  url = "";
  #ids = 0;

  static async start(changes: Partial<ServerOptions> = {}, port = 0): Promise<ServerHarness> {
    const harness = new ServerHarness();
    harness.server = createServer({ ...harness.#options(), ...changes });
    harness.url = await harness.server.listen("127.0.0.1", port);
    return harness;
  }

  get port(): number {
    return Number(new URL(this.url).port);
  }

  get openai(): OpenAI {
    return new OpenAI({ baseURL: `${this.url}/v1`, apiKey: "sk-secret-key", maxRetries: 0 });
  }

  post(path: string, body: unknown, init: RequestInit = {}): Promise<Response> {
    const { headers, ...rest } = init;
    return fetch(`${this.url}${path}`, {
      method: "POST",
      headers: { "content-type": "application/json", ...(headers as Record<string, string>) },
      body: typeof body === "string" ? body : JSON.stringify(body),
      ...rest,
    });
  }

  complete(fields: object = {}, init: RequestInit = {}): Promise<Response> {
    return this.post("/v1/completions", { model: "fake", prompt: "Hi", ...fields }, init);
  }

  chat(fields: object = {}, init: RequestInit = {}): Promise<Response> {
    return this.post(
      "/v1/chat/completions",
      { model: "fake", messages: [{ role: "user", content: "Hi" }], ...fields },
      init,
    );
  }

  /** A bare connection that has sent one completion request. */
  async rawRequest(fields: object = {}): Promise<Socket> {
    const socket = createConnection({ port: this.port, host: "127.0.0.1" });
    await once(socket, "connect");
    socket.write(this.rawBytes(fields));
    return socket;
  }

  rawBytes(fields: object = {}): string {
    const body = JSON.stringify({ model: "fake", prompt: "Hi", ...fields });
    return (
      `POST /v1/completions HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
    );
  }

  /** Ends the server, then checks that every trace is whole and every traced request has its one line. */
  async stop(): Promise<void> {
    await this.server.close();
    await this.tracing.assertComplete();
    const lines = this.log.filter((line) => "outcome" in line && "trace_id" in line);
    assert.deepEqual(
      lines.map((line) => line.trace_id).sort(),
      this.tracing.traces.map((trace) => trace.traceId).sort(),
      "one log line for each traced request",
    );
  }

  #options(): ServerOptions {
    const destination = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        this.log.push(JSON.parse(chunk.toString()) as LogLine);
        done();
      },
    });
    return {
      engine: this.engine,
      tokenizer: byteTokenizer,
      chatTemplate: lineTemplate,
      tracing: this.tracing,
      logger: pino({ level: "debug" }, destination),
      modelId: "fake",
      version: "1.2.3",
      limits: LIMITS,
      prefixSalt: "key",
      recordSteps: false,
      hashIdentity: (identity) => ({ current: `hash-of-${identity.length}` }),
      newId: () => `id${++this.#ids}`,
      randomSeed: () => 42,
      wallClock: () => 1_700_000_000_500,
    };
  }
}

/** The `data` of a stream's events, parsed; `[DONE]` stays text. */
export function sseData(text: string): readonly unknown[] {
  return text
    .split("\n\n")
    .filter((event) => event !== "")
    .map((event) => {
      assert.ok(event.startsWith("data: "), `an event is one data line: ${event}`);
      const data = event.slice("data: ".length);
      return data === "[DONE]" ? data : (JSON.parse(data) as unknown);
    });
}
