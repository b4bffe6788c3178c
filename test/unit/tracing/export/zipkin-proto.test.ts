import assert from "node:assert/strict";
import { fromBinary, toJson } from "@bufbuild/protobuf";
import { encodeProto, ipv6Bytes } from "../../../../src/tracing/export/zipkin-proto.js";
import type { ZipkinSpan } from "../../../../src/tracing/export/zipkin-span.js";
import { type MessageTable, messageSchema, Type } from "../../../support/proto-schema.js";

/** Zipkin's schema, for a decoder that knows nothing of the encoder. A map is a repeated entry on the wire. */
const MESSAGES: MessageTable = {
  ListOfSpans: [["spans", 1, Type.MESSAGE, "Span", true]],
  Span: [
    ["traceId", 1, Type.BYTES],
    ["parentId", 2, Type.BYTES],
    ["id", 3, Type.BYTES],
    ["kind", 4, Type.INT32],
    ["name", 5, Type.STRING],
    ["timestamp", 6, Type.FIXED64],
    ["duration", 7, Type.UINT64],
    ["localEndpoint", 8, Type.MESSAGE, "Endpoint"],
    ["remoteEndpoint", 9, Type.MESSAGE, "Endpoint"],
    ["annotations", 10, Type.MESSAGE, "Annotation", true],
    ["tags", 11, Type.MESSAGE, "Tag", true],
    ["debug", 12, Type.BOOL],
    ["shared", 13, Type.BOOL],
  ],
  Endpoint: [
    ["serviceName", 1, Type.STRING],
    ["ipv4", 2, Type.BYTES],
    ["ipv6", 3, Type.BYTES],
    ["port", 4, Type.INT32],
  ],
  Annotation: [
    ["timestamp", 1, Type.FIXED64],
    ["value", 2, Type.STRING],
  ],
  Tag: [
    ["key", 1, Type.STRING],
    ["value", 2, Type.STRING],
  ],
};

const LIST = messageSchema(MESSAGES, "ListOfSpans");
const decode = (spans: readonly ZipkinSpan[]) =>
  toJson(LIST, fromBinary(LIST, encodeProto(spans.map((span) => JSON.stringify(span)))));
const base64 = (...bytes: number[]) => Buffer.from(bytes).toString("base64");
const fromHex = (digits: string) => Buffer.from(digits, "hex").toString("base64");

const PLAIN: ZipkinSpan = {
  traceId: "48485a3953bb6124",
  id: "a2fb4a1d1a96d312",
  name: "tokenize",
  timestamp: 1_700_000_000_000_001,
  duration: 1,
  localEndpoint: { serviceName: "vitrine", ipv4: "127.0.0.1", port: 8080 },
};

describe("Zipkin's proto3 encoding", () => {
  it("decodes to what was queued, every field of it", () => {
    const full: ZipkinSpan = {
      ...PLAIN,
      traceId: "463ac35c9f6413ad48485a3953bb6124",
      parentId: "05e3ac9a4f6e3b90",
      kind: "SERVER",
      name: "größer",
      remoteEndpoint: { serviceName: "caller", ipv6: "2001:db8::c001", port: 65_535 },
      annotations: [
        { timestamp: 1_700_000_000_000_002, value: "first_token" },
        { timestamp: 1_700_000_000_000_003, value: "last_token" },
      ],
      tags: { error: "no room", "ai.seed": "7" },
      debug: true,
      shared: true,
    };
    assert.deepEqual(decode([full]), {
      spans: [
        {
          traceId: fromHex(full.traceId),
          parentId: fromHex("05e3ac9a4f6e3b90"),
          id: fromHex(full.id),
          kind: 2,
          name: "größer",
          timestamp: "1700000000000001",
          duration: "1",
          localEndpoint: { serviceName: "vitrine", ipv4: base64(127, 0, 0, 1), port: 8080 },
          remoteEndpoint: {
            serviceName: "caller",
            ipv6: fromHex("20010db800000000000000000000c001"),
            port: 65_535,
          },
          annotations: [
            { timestamp: "1700000000000002", value: "first_token" },
            { timestamp: "1700000000000003", value: "last_token" },
          ],
          tags: [
            { key: "error", value: "no room" },
            { key: "ai.seed", value: "7" },
          ],
          debug: true,
          shared: true,
        },
      ],
    });
  });

  it("leaves out what is not there, and keeps a batch's order and 64-bit trace ids", () => {
    const other = { ...PLAIN, id: "0000000000000001", localEndpoint: {} };
    const span = { traceId: fromHex(PLAIN.traceId), name: "tokenize", timestamp: "1700000000000001", duration: "1" };
    assert.deepEqual(decode([PLAIN, other]), {
      spans: [
        {
          ...span,
          id: fromHex(PLAIN.id),
          localEndpoint: { serviceName: "vitrine", ipv4: base64(127, 0, 0, 1), port: 8080 },
        },
        { ...span, id: fromHex("0000000000000001"), localEndpoint: {} },
      ],
    });
    assert.equal(encodeProto([]).length, 0);
  });

  it("numbers the kinds as Zipkin does", () => {
    const kinds = (["CLIENT", "SERVER", "PRODUCER", "CONSUMER"] as const).map((kind) => {
      const { spans } = decode([{ ...PLAIN, kind }]) as { spans: { kind: number }[] };
      return spans[0]?.kind;
    });
    assert.deepEqual(kinds, [1, 2, 3, 4]);
  });

  it("reads IPv6 addresses in every spelling", () => {
    const digits = (address: string) => Buffer.from(ipv6Bytes(address)).toString("hex");
    assert.equal(digits("::"), "0".repeat(32));
    assert.equal(digits("::1"), `${"0".repeat(31)}1`);
    assert.equal(digits("fe80::"), `fe80${"0".repeat(28)}`);
    assert.equal(digits("fe80::1%eth0"), `fe80${"0".repeat(27)}1`);
    assert.equal(digits("1:2:3:4:5:6:7:8"), "00010002000300040005000600070008");
    assert.equal(digits("64:ff9b::192.0.2.33"), "0064ff9b0000000000000000c0000221");
  });
});
