import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import type { ServerResponse } from "node:http";
import { createParser } from "eventsource-parser";
import { EventStream, SSE_DONE, sseEvent } from "../../../../src/server/answer/sse.js";

class FakeResponse extends EventEmitter {
  status = 0;
  headers: Readonly<Record<string, unknown>> = {};
  readonly written: string[] = [];
  writableEnded = false;
  destroyed = false;
  room = Number.POSITIVE_INFINITY;

  writeHead(status: number, headers: Readonly<Record<string, unknown>>): void {
    this.status = status;
    this.headers = headers;
  }

  write(text: string): boolean {
    this.written.push(text);
    return --this.room > 0;
  }

  end(text: string): void {
    this.written.push(text);
    this.writableEnded = true;
  }
}

function open(onDrain: () => void = () => {}) {
  const response = new FakeResponse();
  return { response, stream: new EventStream(response as unknown as ServerResponse, { "x-id": "7" }, onDrain) };
}

describe("server-sent events", () => {
  it("open with headers that nobody buffers", () => {
    const { response } = open();
    assert.equal(response.status, 200);
    assert.equal(response.headers["content-type"], "text/event-stream; charset=utf-8");
    assert.equal(response.headers["cache-control"], "no-cache");
    assert.equal(response.headers["x-accel-buffering"], "no");
    assert.equal(response.headers["x-id"], "7");
  });

  it("frame any text so that a parser reads it back", () => {
    const texts = ["a\n\nb", "data: x", "\r\n", "é 🦓", "\u2028", ": comment", ""];
    const read: string[] = [];
    const parser = createParser({ onEvent: (event) => read.push(event.data) });
    for (const text of texts) parser.feed(sseEvent({ text }));
    parser.feed(SSE_DONE);
    assert.deepEqual(
      read.slice(0, -1).map((data) => (JSON.parse(data) as { text: string }).text),
      texts,
    );
    assert.equal(read.at(-1), "[DONE]");
  });

  it("are blocked from a full buffer until it has drained", () => {
    let drained = 0;
    const { response, stream } = open(() => drained++);
    response.room = 2;
    stream.send({ n: 1 });
    assert.equal(stream.blocked, false);
    stream.send({ n: 2 });
    assert.equal(stream.blocked, true);
    response.emit("drain");
    assert.equal(stream.blocked, false);
    assert.equal(drained, 1);
  });

  it("write nothing after the end or to a closed connection", () => {
    const { response, stream } = open();
    stream.end(SSE_DONE);
    stream.send({ n: 1 });
    stream.end(SSE_DONE);
    assert.deepEqual(response.written, [SSE_DONE]);
    assert.equal(stream.chunks, 1);
    const closed = open();
    closed.response.destroyed = true;
    closed.stream.send({ n: 1 });
    assert.deepEqual(closed.response.written, []);
  });
});
