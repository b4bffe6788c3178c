/**
 * What W3C's trace-context test harness asks (https://github.com/w3c/trace-context/tree/main/test, at its strictest
 * level), as our own cases: an echo service built on the propagator is called over HTTP and tells what it would send on.
 */
import assert from "node:assert/strict";
import { createServer, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { defaultTextMapGetter, defaultTextMapSetter, ROOT_CONTEXT, trace } from "@opentelemetry/api";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-node";
import { ZipkinPropagator } from "../../src/tracing/context/propagator.js";

const TRACE = "12345678901234567890123456789012";
const PARENT = "1234567890123456";
const GOOD = `00-${TRACE}-${PARENT}-01`;
const UNSAMPLED: readonly [string, string] = ["traceparent", `00-${TRACE}-${PARENT}-00`];

type HeaderList = readonly (readonly [string, string])[];

describe("W3C trace context, over HTTP", () => {
  let server: Server;

  before(async () => {
    const propagator = new ZipkinPropagator("w3c");
    const tracer = new BasicTracerProvider().getTracer("echo");
    server = createServer(({ headers }, response) => {
      const parent = propagator.extract(ROOT_CONTEXT, headers, defaultTextMapGetter);
      const sent: Record<string, string> = {};
      const context = trace.setSpan(parent, tracer.startSpan("call", {}, parent));
      propagator.inject(context, sent, defaultTextMapSetter);
      response.end(JSON.stringify(sent));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  });

  after(() => {
    server.closeAllConnections();
    server.close();
  });

  /** What the service would send on, for headers in this order, repeated ones too. */
  function echo(headers: HeaderList): Promise<{ traceparent: string; tracestate?: string }> {
    const { port } = server.address() as AddressInfo;
    return new Promise((resolve, reject) => {
      const raw = [["host", "localhost"], ...headers].flat();
      request({ port, host: "127.0.0.1", headers: raw as never }, (response) => {
        let body = "";
        response.setEncoding("utf8").on("data", (text: string) => {
          body += text;
        });
        response.on("end", () => resolve(JSON.parse(body)));
      })
        .on("error", reject)
        .end();
    });
  }

  async function sentOn(headers: HeaderList): Promise<{ traceId: string; state: string }> {
    const { traceparent, tracestate = "" } = await echo(headers);
    const match = /^00-((?!0{32})[0-9a-f]{32})-((?!0{16})[0-9a-f]{16})-0[01]$/.exec(traceparent);
    assert.ok(match, traceparent);
    assert.notEqual(match[2], PARENT, "the span is the service's own");
    return { traceId: match[1] ?? "", state: tracestate };
  }

  const continued: readonly [string, HeaderList][] = [
    ["a well-formed one", [["traceparent", GOOD]]],
    ...["TraceParent", "TrAcEpArEnT", "TRACEPARENT"].map((name): [string, HeaderList] => [name, [[name, GOOD]]]),
    ["a later version", [["traceparent", `cc${GOOD.slice(2)}`]]],
    ["a later version with more fields", [["traceparent", `cc${GOOD.slice(2)}-what-the-future-brings`]]],
    ...[` ${GOOD}`, `\t${GOOD}`, `${GOOD} `, `${GOOD}\t`, `\t ${GOOD} \t`].map((value): [string, HeaderList] => [
      `white space around it: ${JSON.stringify(value)}`,
      [["traceparent", value]],
    ]),
  ];
  for (const [name, headers] of continued) {
    it(`continues the trace of ${name}`, async () => {
      assert.equal((await sentOn(headers)).traceId, TRACE);
    });
  }

  const refused: readonly [string, HeaderList][] = [
    ["no header", []],
    [
      "two of them",
      [
        ["traceparent", GOOD],
        ["traceparent", GOOD.replace("9012-", "9011-")],
      ],
    ],
    ["trace-parent", [["trace-parent", GOOD]]],
    ["trace.parent", [["trace.parent", GOOD]]],
    ...[
      `${GOOD}.`,
      `${GOOD}-what-the-future-brings`,
      `cc${GOOD.slice(2)}.what-the-future-brings`,
      `ff${GOOD.slice(2)}`,
      `.0${GOOD.slice(2)}`,
      `0.${GOOD.slice(2)}`,
      `000${GOOD.slice(2)}`,
      `0000${GOOD.slice(2)}`,
      GOOD.slice(1),
      `00-${"0".repeat(32)}-${PARENT}-01`,
      `00-.${TRACE.slice(1)}-${PARENT}-01`,
      `00-${TRACE.slice(1)}.-${PARENT}-01`,
      `00-${TRACE}3-${PARENT}-01`,
      `00-${TRACE.slice(1)}-${PARENT}-01`,
      `00-${TRACE}-${"0".repeat(16)}-01`,
      `00-${TRACE}-.${PARENT.slice(1)}-01`,
      `00-${TRACE}-${PARENT.slice(1)}.-01`,
      `00-${TRACE}-${PARENT}7-01`,
      `00-${TRACE}-${PARENT.slice(1)}-01`,
      `00-${TRACE}-${PARENT}-.0`,
      `00-${TRACE}-${PARENT}-0.`,
      `00-${TRACE}-${PARENT}-001`,
      `00-${TRACE}-${PARENT}-1`,
    ].map((value): [string, HeaderList] => [value, [["traceparent", value]]]),
  ];
  for (const [name, headers] of refused) {
    it(`begins a trace of its own for ${name}`, async () => {
      const { traceId, state } = await sentOn([...headers, ["tracestate", "foo=1"]]);
      assert.equal(traceId.includes(TRACE.slice(2, 30)), false);
      assert.equal(state, "", "tracestate goes with its traceparent only");
    });
  }

  const key = "abcdefghijklmnopqrstuvwxyz0123456789_-*/";
  const value = Array.from({ length: 0x7f - 0x20 }, (_, i) => String.fromCharCode(0x20 + i))
    .join("")
    .replace(/[,=]/g, "");
  const members = (count: number): string[] => Array.from({ length: count }, (_, i) => `bar${i + 1}=${i + 1}`);
  /** Headers' values, and the list that goes on. */
  const states: readonly [string, readonly string[], string][] = [
    ["one list", ["foo=1,bar=2"], "foo=1,bar=2"],
    ["an empty header", [""], ""],
    ["an empty header after another", ["foo=1", ""], "foo=1"],
    ["an empty header before another", ["", "foo=1"], "foo=1"],
    ["several headers, in their order", ["foo=1,bar=2", "rojo=1,congo=2", "baz=3"], "foo=1,bar=2,rojo=1,congo=2,baz=3"],
    ["every character a key and a value may have", [`${key}=${value}`], `${key}=${value}`],
    ["every character a vendor's key may have", [`${key}@a-z0-9_-*/=${value}`], `${key}@a-z0-9_-*/=${value}`],
    ["blanks and tabs around members", ["foo=1 \t , \t bar=2, \t baz=3"], "foo=1,bar=2,baz=3"],
    ["blanks and tabs around the list", ["\t foo=1 \t"], "foo=1"],
    ["32 members in four headers", [members(8), members(32).slice(8)].map((list) => list.join()), members(32).join()],
    ["33 members", [members(33).join()], ""],
    ["a key twice", ["foo=1,foo=1"], ""],
    ["a key in two headers", ["foo=1", "foo=2"], ""],
    ...["foo =1", "FOO=1", "foo.bar=1", "foo@=1,bar=2", "@foo=1,bar=2", "foo@@bar=1,bar=2", "foo@bar@baz=1,bar=2"].map(
      (text): [string, readonly string[], string] => [`the illegal key in ${text}`, [text], ""],
    ),
    ...["foo=bar=baz", "foo=,bar=3", "foo=é", "foo"].map((text): [string, readonly string[], string] => [
      `the illegal value in ${text}`,
      [Buffer.from(text).toString("latin1")],
      "",
    ]),
    ["a key of 256", ["foo=1", `${"z".repeat(256)}=1`], `foo=1,${"z".repeat(256)}=1`],
    ["a key of 257", ["foo=1", `${"z".repeat(257)}=1`], ""],
    [
      "tenant of 241, vendor of 14",
      [`${"t".repeat(241)}@${"v".repeat(14)}=1`],
      `${"t".repeat(241)}@${"v".repeat(14)}=1`,
    ],
    ["a tenant of 242", ["foo=1", `${"t".repeat(242)}@v=1`], ""],
    ["a vendor of 15", ["foo=1", `t@${"v".repeat(15)}=1`], ""],
    ["a value of 256", [`foo=${"v".repeat(256)}`], `foo=${"v".repeat(256)}`],
    ["a value of 257", [`foo=${"v".repeat(257)}`], ""],
    [
      "more than 512 characters",
      [`a=${"v".repeat(250)},b=${"w".repeat(250)},c=3`, "d=4".padEnd(200, "x")],
      `a=${"v".repeat(250)},b=${"w".repeat(250)},c=3,${"d=4".padEnd(200, "x")}`,
    ],
  ];
  for (const [name, values, expected] of states) {
    it(`sends on ${expected === "" ? "nothing of" : "a tracestate with"} ${name}`, async () => {
      const { traceId, state } = await sentOn([UNSAMPLED, ...values.map((text) => ["tracestate", text] as const)]);
      assert.deepEqual([traceId, state], [TRACE, expected]);
    });
  }

  it("knows tracestate by any case, and by no other name", async () => {
    for (const name of ["TraceState", "TRACESTATE"]) {
      assert.equal((await sentOn([UNSAMPLED, [name, "foo=1"]])).state, "foo=1");
    }
    for (const name of ["trace-state", "trace.state"])
      assert.equal((await sentOn([UNSAMPLED, [name, "foo=1"]])).state, "");
  });
});
