import assert from "node:assert/strict";
import { type Context, ROOT_CONTEXT } from "@opentelemetry/api";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-node";
import type { WireError } from "../../../../src/errors.js";
import { WallAnchor } from "../../../../src/tracing/clock.js";
import { HeadSampler } from "../../../../src/tracing/context/sampler.js";
import { withSamplingState } from "../../../../src/tracing/context/trace-context.js";
import { createRing, RingReader } from "../../../../src/tracing/export/ring.js";
import { RingSpanProcessor } from "../../../../src/tracing/export/ring-processor.js";
import { LeafSpans } from "../../../../src/tracing/spans/leaf-spans.js";
import { SpanMaker } from "../../../../src/tracing/spans/span-maker.js";

const ATTRIBUTES = { "ai.phase": "decode", "ai.tokens": 7, "ai.steps": undefined };

/** The bytes that reach the export thread of a child with both ends known, and its parent, in ids that count up. */
function bytesOf(kind: "leaf" | "opened", root: Context, end: number, error?: WireError): string[] {
  const ring = createRing(2 ** 20);
  const processor = new RingSpanProcessor(ring);
  let count = 0;
  const ids = {
    generateTraceId: () => "463ac35c9f6413ad48485a3953bb6124",
    generateSpanId: () => (++count).toString(16).padStart(16, "0"),
  };
  const sampler = new HeadSampler({ rate: 0, limit: null, rules: [] }, { recordAll: true });
  const provider = new BasicTracerProvider({ sampler, idGenerator: ids, spanProcessors: [processor] });
  const anchor = new WallAnchor({ wall: () => 1.7e15, monotonic: () => 0 });
  const leaves = kind === "leaf" ? [new LeafSpans(ids, processor)] : [];
  const maker = new SpanMaker(provider.getTracer("test"), anchor, ...leaves);
  const parent = maker.open("parent", 1_000, root, {});
  maker.add("child", 900, end, parent, ATTRIBUTES, error);
  maker.end(parent, maker.latest);
  const records: string[] = [];
  const reader = new RingReader(ring);
  while (reader.read((bytes, start, length) => records.push(bytes.toString("latin1", start, start + length)))) {}
  assert.equal(processor.counts.ended, records.length);
  return records;
}

describe("LeafSpans", () => {
  const contexts = { accepted: "accept", debugged: "debug", undecided: "defer", denied: "deny" } as const;
  for (const [name, state] of Object.entries(contexts)) {
    it(`makes what OpenTelemetry makes of spans that are opened and ended, in a trace that is ${name}`, () => {
      const root = withSamplingState(ROOT_CONTEXT, state);
      const error: WireError = { code: "engine_lost", message: "it died" };
      for (const [end, failure] of [[5_000], [5_000, error], [800]] as const) {
        const leaf = bytesOf("leaf", root, end, failure);
        assert.deepEqual(leaf, bytesOf("opened", root, end, failure));
        assert.equal(leaf.length, state === "deny" ? 0 : 2);
      }
    });
  }
});
