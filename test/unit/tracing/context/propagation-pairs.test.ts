import assert from "node:assert/strict";
import { defaultTextMapGetter, defaultTextMapSetter, propagation, ROOT_CONTEXT } from "@opentelemetry/api";
import fc from "fast-check";
import type { PropagationFormat } from "../../../../src/tracing/context/propagation.js";
import { readHeaders, writeHeaders } from "../../../../src/tracing/context/propagation.js";
import { contextFrom, headersOf, ZipkinPropagator } from "../../../../src/tracing/context/propagator.js";
import type { SamplingState } from "../../../../src/tracing/context/trace-context.js";

const IDS = { traceId: "463ac35c9f6413ad48485a3953bb6124", spanId: "a2fb4a1d1a96d312" };
const STATES: readonly SamplingState[] = ["defer", "deny", "accept", "debug"];
const SENT: readonly (readonly PropagationFormat[])[] = [
  ["b3multi"],
  ["b3"],
  ["w3c"],
  ["b3multi", "w3c"],
  ["b3", "w3c"],
  ["b3multi", "b3"],
  ["b3multi", "b3", "w3c"],
];
const NAMES = new ZipkinPropagator().fields();

type Headers = Record<string, string>;

function hop(carrier: object, formats: readonly PropagationFormat[]): Headers {
  const sent: Headers = {};
  const propagator = new ZipkinPropagator(...formats);
  const context = propagator.extract(ROOT_CONTEXT, carrier, defaultTextMapGetter);
  propagator.inject(context, sent, defaultTextMapSetter);
  return sent;
}

describe("propagation from any encoding to any other", () => {
  for (const first of SENT) {
    for (const second of SENT) {
      it(`keeps ids and all four decisions from ${first.join("+")} to ${second.join("+")}`, () => {
        for (const sampling of STATES) {
          const sent = hop(writeHeaders({ ids: IDS, sampling }, ...first), second);
          const { ids, sampling: arrived } = readHeaders((name) => sent[name]);
          assert.deepEqual({ ids, arrived }, { ids: IDS, arrived: sampling });
          for (const format of second) {
            const alone = writeHeaders({ ids: IDS, sampling }, format);
            for (const [name, value] of Object.entries(alone)) assert.equal(sent[name], value);
          }
        }
      });
    }
  }

  it("keeps a decision without ids from either form of B3 to all", () => {
    for (const first of ["b3", "b3multi"] as const) {
      for (const sampling of STATES) {
        const sent = hop(writeHeaders({ sampling }, first), ["b3multi", "b3", "w3c"]);
        assert.deepEqual(
          readHeaders((name) => sent[name]),
          { sampling },
        );
      }
    }
  });
});

describe("baggage", () => {
  const baggage = "user=alice%20b;p=1, tenant = x";

  it("goes on untouched, with and without ids", () => {
    assert.equal(hop({ baggage }, ["b3"]).baggage, baggage);
    assert.equal(hop({ baggage, ...writeHeaders({ ids: IDS, sampling: "deny" }, "w3c") }, ["w3c"]).baggage, baggage);
    assert.equal("baggage" in hop({}, ["w3c"]), false);
  });

  it("is left to its own propagator where OpenTelemetry's is set", () => {
    const propagator = new ZipkinPropagator();
    const extracted = propagator.extract(ROOT_CONTEXT, { baggage }, defaultTextMapGetter);
    const own = propagation.setBaggage(extracted, propagation.createBaggage({ a: { value: "1" } }));
    const sent: Headers = {};
    propagator.inject(own, sent, defaultTextMapSetter);
    assert.equal("baggage" in sent, false);
  });
});

describe("propagation of any bytes", () => {
  const digits = fc.string({ unit: fc.constantFrom(..."0123456789abcdefABCDEF-d"), maxLength: 80 });
  const wellFormed = fc.constantFrom(
    ...SENT.flatMap((formats) =>
      STATES.flatMap((sampling) => Object.values(writeHeaders({ ids: IDS, sampling }, ...formats))),
    ),
  );
  const value = fc.oneof(
    fc.string({ unit: "binary", maxLength: 600 }),
    digits,
    wellFormed,
    fc.array(wellFormed, { maxLength: 3 }),
    fc.anything(),
  );
  const carrier = fc.record(Object.fromEntries(NAMES.map((name) => [name, value])), { requiredKeys: [] });

  it("never throws, and sends on only what the next one reads the same", () => {
    fc.assert(
      fc.property(carrier, fc.constantFrom(...SENT), (headers, formats) => {
        const sent = hop(headers, formats);
        for (const text of Object.values(sent)) assert.equal(typeof text, "string");
        const propagator = new ZipkinPropagator();
        const told = headersOf(propagator.extract(ROOT_CONTEXT, headers, defaultTextMapGetter));
        const arrived = readHeaders((name) => sent[name]);
        assert.deepEqual(arrived.ids, told.ids);
        if (told.ids === undefined && formats.every((format) => format === "w3c")) return;
        assert.equal(arrived.sampling, told.sampling);
        if (told.ids === undefined) return;
        assert.match(told.ids.traceId, /^(?!0{32})[0-9a-f]{32}$/);
        assert.match(told.ids.spanId, /^(?!0{16})[0-9a-f]{16}$/);
        assert.equal(headersOf(contextFrom(ROOT_CONTEXT, told)).sampling, told.sampling);
      }),
      { numRuns: 5_000 },
    );
  });
});
