import assert from "node:assert/strict";
import { BasicTracerProvider, type ReadableSpan } from "@opentelemetry/sdk-trace-node";
import { LazyProcessor } from "../../../../src/instrumentation/program/lazy-processor.js";
import type { SpanExport } from "../../../../src/tracing/span-export.js";

class FakeExport {
  opened = 0;
  ports: number[] = [];
  flushed: number[] = [];
  readonly ended: ReadableSpan[] = [];
  readonly log: string[] = [];
  readonly lazy = new LazyProcessor(
    () => this.open(),
    (level, message) => void this.log.push(`${level}: ${message}`),
  );
  readonly tracer = new BasicTracerProvider({ spanProcessors: [this.lazy] }).getTracer("test");

  constructor(private readonly failure?: Error) {}

  private open(): SpanExport {
    this.opened++;
    if (this.failure !== undefined) throw this.failure;
    const processor = { onStart: () => {}, onEnd: (span: ReadableSpan) => void this.ended.push(span) };
    return {
      processor,
      listening: (port: number) => void this.ports.push(port),
      shutdownNow: (ms: number) => void this.flushed.push(ms),
    } as unknown as SpanExport;
  }
}

describe("the lazily opened export", () => {
  it("opens with the first span, once", () => {
    const fake = new FakeExport();
    assert.equal(fake.opened, 0);
    fake.tracer.startSpan("a").end();
    fake.tracer.startSpan("b").end();
    assert.deepEqual([fake.opened, fake.ended.map(({ name }) => name)], [1, ["a", "b"]]);
  });

  it("does not open to be shut down, and takes nothing afterwards", () => {
    const unused = new FakeExport();
    unused.lazy.shutdownNow(7);
    unused.tracer.startSpan("late").end();
    assert.deepEqual([unused.opened, unused.ended.length], [0, 0]);
    const used = new FakeExport();
    used.tracer.startSpan("a").end();
    used.lazy.shutdownNow(7);
    used.tracer.startSpan("late").end();
    assert.deepEqual([used.opened, used.flushed, used.ended.length], [1, [7], 1]);
  });

  it("costs the program nothing but its spans when it cannot be opened", () => {
    const fake = new FakeExport(new Error("no threads here"));
    fake.tracer.startSpan("a").end();
    fake.tracer.startSpan("b").end();
    assert.equal(fake.opened, 1);
    assert.deepEqual(fake.log, ["error: no spans are sent: no threads here"]);
  });

  it("tells the first port only", () => {
    const fake = new FakeExport();
    for (const port of [8080, 8080, 9090]) fake.lazy.listening(port);
    assert.deepEqual(fake.ports, [8080]);
  });

  it("starts spans to the microsecond, and leaves starts that the program gives", () => {
    const fake = new FakeExport();
    // Of a hundred starts, some fall between two milliseconds.
    for (let i = 0; i < 100; i++) fake.tracer.startSpan("now").end();
    assert.ok(fake.ended.some(({ startTime }) => startTime[1] % 1e6 !== 0));
    const given = 1_700_000_000_000;
    fake.tracer.startSpan("given", { startTime: given }).end();
    assert.deepEqual(fake.ended.at(-1)?.startTime, [given / 1e3, 0]);
  });
});
