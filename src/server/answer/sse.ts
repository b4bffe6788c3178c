import type { OutgoingHttpHeader, ServerResponse } from "node:http";

const SSE_HEADERS = {
  "content-type": "text/event-stream; charset=utf-8",
  "cache-control": "no-cache",
  // nginx would otherwise collect the events and send them together.
  "x-accel-buffering": "no",
} as const;

export const sseEvent = (data: object): string => `data: ${JSON.stringify(data)}\n\n`;
export const SSE_DONE = "data: [DONE]\n\n";

/** Server-sent events over one response. Opens the response when made. */
export class EventStream {
  readonly #response: ServerResponse;
  #blocked = false;
  #chunks = 0;

  /** `onDrain` is called when a slow client has taken what was written and the stream may go on. */
  constructor(
    response: ServerResponse,
    headers: Readonly<Record<string, OutgoingHttpHeader | undefined>>,
    onDrain: () => void,
  ) {
    this.#response = response;
    response.writeHead(200, { ...headers, ...SSE_HEADERS });
    response.on("drain", () => {
      this.#blocked = false;
      onDrain();
    });
  }

  /** True while the client is slower than we write: what comes now should wait for `onDrain`. */
  get blocked(): boolean {
    return this.#blocked;
  }

  /** Events written. */
  get chunks(): number {
    return this.#chunks;
  }

  send(data: object): void {
    this.#write(sseEvent(data));
  }

  end(last: string): void {
    if (this.#response.writableEnded) return;
    this.#chunks++;
    this.#response.end(last);
  }

  #write(text: string): void {
    if (this.#response.writableEnded || this.#response.destroyed) return;
    this.#chunks++;
    if (!this.#response.write(text)) this.#blocked = true;
  }
}
