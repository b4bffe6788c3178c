import assert from "node:assert/strict";
import { type Context, context, ROOT_CONTEXT, TraceFlags, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { RPCType, setRPCMetadata } from "@opentelemetry/core";
import { correlateConsole } from "../../../../src/instrumentation/program/console-correlation.js";

const IDS = { traceId: "463ac35c9f6413ad48485a3953bb6124", spanId: "00fb4a1d1a96d3f0" };
const FIELDS = `"trace_id":"${IDS.traceId}","span_id":"${IDS.spanId}","trace_flags":"01"`;
const SUFFIX = `trace_id=${IDS.traceId} span_id=${IDS.spanId} trace_flags=01`;

const span = trace.wrapSpanContext({ ...IDS, traceFlags: TraceFlags.SAMPLED });
const inSpan = trace.setSpan(ROOT_CONTEXT, span);
const inRequest = setRPCMetadata(inSpan, { type: RPCType.HTTP, span });

describe("console correlation", () => {
  const written: unknown[][] = [];
  const record = (...args: unknown[]): void => void written.push(args);
  const target = { log: record, info: record, warn: record, error: record, debug: record } as unknown as Console;
  let undo: () => void;

  before(() => {
    context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  });

  after(() => context.disable());

  beforeEach(() => {
    written.length = 0;
    undo = correlateConsole(target);
  });

  afterEach(() => undo());

  const write = (where: Context, ...args: unknown[]): unknown[] => {
    context.with(where, () => target.log(...args));
    return written.at(-1) ?? [];
  };

  it("adds the trace to lines of a request, formats included", () => {
    assert.deepEqual(write(inRequest, "%s of %d", "a", 3), ["%s of %d", "a", 3, SUFFIX]);
    context.with(inRequest, () => target.error({ a: 1 }));
    assert.deepEqual(written.at(-1), [{ a: 1 }, SUFFIX]);
  });

  it("adds members to a line that is a JSON object", () => {
    assert.deepEqual(write(inRequest, '{"a":1}'), [`{"a":1,${FIELDS}}`]);
    assert.deepEqual(write(inRequest, "{ }"), [`{ ${FIELDS}}`]);
    assert.deepEqual(write(inRequest, "{a}"), ["{a}", SUFFIX]);
    const own = '{"trace_id":"mine"}';
    assert.deepEqual(write(inRequest, own), [own]);
  });

  it("changes nothing outside of requests, and nothing that is empty", () => {
    assert.deepEqual(write(ROOT_CONTEXT, "a"), ["a"]);
    assert.deepEqual(write(inSpan, "a"), ["a"]);
    assert.deepEqual(write(inRequest), []);
  });

  it("can be undone, and leaves what others put there since", () => {
    undo();
    assert.equal(target.log, record);
    undo = correlateConsole(target);
    const theirs = (): void => {};
    target.info = theirs;
    undo();
    assert.equal(target.info, theirs);
    target.info = record;
  });
});
