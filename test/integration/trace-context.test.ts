/**
 * What W3C's trace-context test harness asks (https://github.com/w3c/trace-context/tree/main/test, both levels, at its
 * strictest), as our own cases: a service built on the propagator is called over HTTP and calls on. The harness itself is
 * run by `npm run w3c`.
 */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type IncomingMessage, request, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { json } from "node:stream/consumers";
import { EchoService } from "../support/echo-service.js";

const TRACE = "12345678901234567890123456789012";
const PARENT = "1234567890123456";
const GOOD = `00-${TRACE}-${PARENT}-01`;
const UNSAMPLED: readonly [string, string] = ["traceparent", `00-${TRACE}-${PARENT}-00`];

type HeaderList = readonly (readonly [string, string])[];

describe("W3C trace context, over HTTP", () => {
  let service: EchoService;
  /** Who the service calls: answers with the headers it got. */
  let called: Server;

  before(async () => {
    service = await EchoService.start();
    called = createServer(({ headers }, response) => response.end(JSON.stringify(headers)));
    await once(called.listen(0, "127.0.0.1"), "listening");
  });

  after(() => {
    service.stop();
    called.closeAllConnections();
    called.close();
  });

  /** What the service sends on with each of its calls, for headers in this order, repeated ones too. */
  async function calls(headers: HeaderList, count = 1): Promise<IncomingHttpHeaders[]> {
    const url = `http://127.0.0.1:${(called.address() as AddressInfo).port}/`;
    const raw = [["host", "localhost"], ...headers].flat();
    const post = request(service.url, { method: "POST", headers: raw as never });
    post.end(JSON.stringify(Array.from({ length: count }, () => ({ url, arguments: [] }))));
    const [response] = (await once(post, "response")) as [IncomingMessage];
    return (await json(response)) as IncomingHttpHeaders[];
  }

  async function sentOn(headers: HeaderList): Promise<{ traceId: string; state: string; flags: string }> {
    const [{ traceparent, tracestate = "" } = {}] = await calls(headers);
    const match = /^00-((?!0{32})[0-9a-f]{32})-((?!0{16})[0-9a-f]{16})-(0[0-3])$/.exec(String(traceparent));
    assert.ok(match, String(traceparent));
    assert.notEqual(match[2], PARENT, "the span is the service's own");
    return { traceId: match[1] ?? "", state: String(tracestate), flags: match[3] ?? "" };
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
    ["a key twice, its first value", ["foo=1,foo=2,bar=3"], "foo=1,bar=3"],
    ["a key in two headers, its first value", ["foo=1", "foo=2"], "foo=1"],
    ["32 members and a repeated one", [`${members(32).join()},bar1=33`], members(32).join()],
    ...["foo =1", "FOO=1", "foo.bar=1", "@foo=1,bar=2", "_foo=1,bar=2"].map(
      (text): [string, readonly string[], string] => [`the illegal key in ${text}`, [text], ""],
    ),
    ...["foo@=1,bar=2", "foo@@bar=1,bar=2", "foo@bar@baz=1,bar=2", "1foo=1,bar=2"].map(
      (text): [string, readonly string[], string] => [`level 2's key in ${text}`, [text], text],
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
    ["a tenant of 242", ["foo=1", `${"t".repeat(242)}@v=1`], `foo=1,${"t".repeat(242)}@v=1`],
    ["a vendor of 15", ["foo=1", `t@${"v".repeat(15)}=1`], `foo=1,t@${"v".repeat(15)}=1`],
    ["a key of 257 with an @", ["foo=1", `${"t".repeat(255)}@v=1`], ""],
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

  it("says of a trace's id what its caller said: random or not", async () => {
    for (const [flags, expected] of [
      ["00", "00"],
      ["02", "02"],
      ["03", "03"],
      ["fe", "02"],
    ]) {
      assert.equal((await sentOn([["traceparent", `00-${TRACE}-${PARENT}-${flags}`]])).flags, expected);
    }
    assert.equal((await sentOn([["traceparent", `00-${"0".repeat(32)}-${PARENT}-03`]])).flags, "01");
  });

  it("gives each of its calls a span of its own in the one trace", async () => {
    const parents = (await calls([["traceparent", GOOD]], 3)).map(({ traceparent }) => String(traceparent));
    assert.equal(new Set(parents).size, 3);
    assert.ok(parents.every((parent) => parent.startsWith(`00-${TRACE}-`)));
  });

  it("knows tracestate by any case, and by no other name", async () => {
    for (const name of ["TraceState", "TRACESTATE"]) {
      assert.equal((await sentOn([UNSAMPLED, [name, "foo=1"]])).state, "foo=1");
    }
    for (const name of ["trace-state", "trace.state"])
      assert.equal((await sentOn([UNSAMPLED, [name, "foo=1"]])).state, "");
  });
});
