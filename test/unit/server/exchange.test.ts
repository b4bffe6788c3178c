import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { CancelCause } from "../../../src/protocol.js";
import { Exchange } from "../../../src/server/exchange.js";
import { FakeTracing } from "../../support/fake-tracing.js";

class FakeSocket extends EventEmitter {
  destroyed = false;
}

class FakeResponse extends EventEmitter {
  headersSent = true;
  statusCode = 200;
}

class Setup {
  now = 100;
  readonly aborts: CancelCause[] = [];
  readonly over: number[] = [];
  readonly response = new FakeResponse();
  readonly socket = new FakeSocket();
  readonly trace = new FakeTracing().startRequest({ method: "POST", path: "/", headers: {}, start: 100, remote: {} });
  readonly exchange = new Exchange(
    {
      id: "1",
      method: "POST",
      route: "/",
      start: 100,
      trace: this.trace,
      limit: { ms: 60_000, setBy: "--request-timeout" },
      response: this.response as unknown as ServerResponse,
      socket: this.socket as unknown as Socket,
    },
    () => this.now++,
    (_exchange, at) => this.over.push(at),
  );
  readonly work = { abort: (cause: CancelCause) => this.aborts.push(cause) };

  finishes(): readonly unknown[] {
    return this.trace.calls.flatMap((call) => (call.name === "finish" ? call.args : []));
  }
}

describe("exchange", () => {
  it("is over when the response has left", () => {
    const setup = new Setup();
    setup.exchange.writing = { name: "stream", start: 100, chunks: 2 };
    setup.response.emit("finish");
    setup.response.emit("close");
    setup.socket.emit("close");
    assert.deepEqual(setup.finishes(), [{ status: 200, at: 100 }]);
    assert.deepEqual(setup.trace.story, ["wrote", "finish"]);
    assert.deepEqual(setup.over, [100]);
    assert.equal(setup.exchange.gone, false);
  });

  it("waits for the engine, whichever of the two comes first", () => {
    const late = new Setup();
    const release = late.exchange.hold(late.work);
    late.response.emit("finish");
    assert.deepEqual(late.over, []);
    release();
    release();
    assert.equal(late.finishes().length, 1);
    const early = new Setup();
    early.exchange.hold(early.work)();
    assert.deepEqual(early.over, []);
    early.response.emit("finish");
    assert.equal(early.finishes().length, 1);
    assert.deepEqual([late.aborts, early.aborts], [[], []]);
  });

  it("tells the engine once when the connection closes early, and keeps an earlier error", () => {
    for (const event of ["response", "socket"] as const) {
      const setup = new Setup();
      const release = setup.exchange.hold(setup.work);
      setup[event].emit("close");
      setup.socket.emit("close");
      setup.response.emit("finish");
      assert.deepEqual(setup.aborts, ["client_gone"]);
      assert.equal(setup.exchange.error?.code, "client_closed");
      release();
      assert.equal(setup.finishes().length, 1);
    }
  });

  it("does not believe a finish on a destroyed connection", () => {
    const setup = new Setup();
    setup.socket.destroyed = true;
    setup.response.emit("finish");
    assert.equal(setup.exchange.error?.code, "client_closed");
  });

  it("leaves no listener on a connection that is used again", () => {
    const setup = new Setup();
    setup.response.emit("finish");
    assert.equal(setup.socket.listenerCount("close"), 0);
  });

  it("survives work that ends while it is being aborted", () => {
    const setup = new Setup();
    const release = setup.exchange.hold({ abort: () => release() });
    setup.socket.emit("close");
    assert.equal(setup.finishes().length, 1);
    assert.equal(setup.over.length, 1);
  });

  it("can be abandoned, once, with or without a response", () => {
    for (const responded of [true, false]) {
      const setup = new Setup();
      setup.exchange.hold(setup.work);
      if (responded) setup.response.emit("finish");
      setup.exchange.abandon();
      setup.exchange.abandon();
      assert.equal(setup.finishes().length, 1);
    }
  });
});
