/** A client whose every text is a marker. */
import { request } from "node:http";
import { Canary } from "./canary.js";

export interface Answer {
  readonly status: number;
  readonly text: string;
}

/** A client that puts a marker wherever text of its own can go. */
export class CanaryClient {
  readonly canary = new Canary();

  constructor(private readonly url: string) {}

  async ask(path: string, init: RequestInit = {}): Promise<Answer> {
    const headers = { ...this.#headers(), ...(init.headers as Record<string, string>) };
    const response = await fetch(this.url + path, { ...init, headers });
    return { status: response.status, text: await response.text() };
  }

  post(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    const text = typeof body === "string" ? body : JSON.stringify(body);
    return this.ask(path, {
      method: "POST",
      body: text,
      headers: { "content-type": "application/json", ...headers },
    });
  }

  /** The status told for a body of which only the beginning is sent. */
  announce(path: string, bytes: number, beginning: string): Promise<number | undefined> {
    const headers = { ...this.#headers(), "content-type": "application/json", "content-length": bytes };
    return new Promise((resolve, reject) => {
      const sent = request(this.url + path, { method: "POST", headers }, (response) => {
        resolve(response.statusCode);
        sent.destroy();
      });
      sent.on("error", reject).write(beginning);
    });
  }

  #headers(): Record<string, string> {
    const { canary } = this;
    return {
      authorization: `Bearer ${canary.plain("bearer")}`,
      "x-api-key": canary.plain("apikey"),
      "user-agent": canary.plain("agent"),
      cookie: `session=${canary.plain("cookie")}`,
      baggage: `user=${canary.plain("baggage")}`,
      tracestate: `vendor=${canary.plain("tracestate")}`,
      b3: canary.plain("brokenb3"),
    };
  }

  /** Fields of both routes that hold text. */
  #shared(): object {
    const { canary } = this;
    return {
      model: "tiny",
      max_tokens: 200,
      seed: 1,
      user: canary.text("user"),
      stop: [canary.text("stop")],
      cache_salt: canary.text("salt"),
      metadata: { [canary.plain("metadatakey")]: canary.text("metadata") },
      [canary.plain("ignoredfield")]: canary.text("ignoredvalue"),
    };
  }

  completion(more: object = {}): object {
    return { ...this.#shared(), prompt: this.canary.text("prompt"), logprobs: 2, echo: true, ...more };
  }

  chat(more: object = {}): object {
    const { canary } = this;
    const messages = [
      { role: "system", content: canary.text("system") },
      { role: "user", content: [{ type: "text", text: canary.text("message") }], name: canary.plain("name") },
    ];
    return { ...this.#shared(), messages, logprobs: true, top_logprobs: 2, ...more };
  }

  /** Arguments and answers that hold a marker are forced by their schemas. */
  format(more: object = {}): object {
    const answer = { type: "string", enum: [this.canary.plain("enum")], description: this.canary.text("description") };
    const schema = {
      type: "object",
      properties: { answer, ...more },
      required: ["answer"],
      additionalProperties: false,
    };
    return { type: "json_schema", json_schema: { name: this.canary.plain("format"), schema } };
  }

  tools(more: object = {}): object {
    const { canary } = this;
    const value = { type: "string", enum: [canary.plain("argument")] };
    const parameters = {
      type: "object",
      properties: { value, ...more },
      required: ["value"],
      additionalProperties: false,
    };
    const tool = { name: canary.plain("tool"), description: canary.text("tooldescription"), parameters };
    return { tools: [{ type: "function", function: tool }], tool_choice: "required" };
  }
}
