import assert from "node:assert/strict";
import type { ZipkinSpan } from "../../../../src/tracing/export/zipkin-span.js";
import { linkTraces } from "../../../../src/tracing/store/dependencies.js";
import { span } from "./store-fixtures.js";

const at = (serviceName: string) => ({ localEndpoint: { serviceName } });
const to = (serviceName: string) => ({ remoteEndpoint: { serviceName } });
const [ONE, TWO, THREE] = ["0000000000000001", "0000000000000002", "0000000000000003"] as const;

function links(...spans: readonly ZipkinSpan[]): string[] {
  return linkTraces([spans]).map(({ parent, child, callCount, errorCount }) => {
    return `${parent} -> ${child} ${callCount}${errorCount === undefined ? "" : ` !${errorCount}`}`;
  });
}

describe("linkTraces", () => {
  it("links a client's service to the server's, once, whatever name the client used", () => {
    const client = span({ id: ONE, kind: "CLIENT", ...at("gateway"), ...to("elsewhere") });
    const server = span({ id: TWO, parentId: ONE, kind: "SERVER", ...at("vitrine") });
    assert.deepEqual(links(client, server), ["gateway -> vitrine 1"]);
  });

  it("sees through internal spans", () => {
    const root = span({ id: ONE, kind: "SERVER", ...at("gateway") });
    const local = span({ id: TWO, parentId: ONE, ...at("gateway") });
    const server = span({ id: THREE, parentId: TWO, kind: "SERVER", ...at("vitrine") });
    assert.deepEqual(links(root, local, server), ["gateway -> vitrine 1"]);
  });

  it("joins the halves of a span that client and server share", () => {
    const client = span({ id: ONE, kind: "CLIENT", ...at("gateway") });
    const server = span({ id: ONE, kind: "SERVER", shared: true, ...at("vitrine") });
    assert.deepEqual(links(server, client), ["gateway -> vitrine 1"]);
  });

  it("believes a root server span's remote endpoint, and a client nobody answered", () => {
    assert.deepEqual(links(span({ kind: "SERVER", ...at("vitrine"), ...to("gateway") })), ["gateway -> vitrine 1"]);
    assert.deepEqual(links(span({ kind: "CLIENT", ...at("vitrine"), ...to("hub") })), ["vitrine -> hub 1"]);
    assert.deepEqual(links(span({ ...at("vitrine"), ...to("hub") })), ["vitrine -> hub 1"]);
  });

  it("fills in the call to a client's service that no server span tells of", () => {
    const server = span({ id: ONE, kind: "SERVER", ...at("gateway") });
    const client = span({ id: TWO, parentId: ONE, kind: "CLIENT", ...at("vitrine"), ...to("hub") });
    assert.deepEqual(links(server, client), ["gateway -> vitrine 1", "vitrine -> hub 1"]);
  });

  it("counts messages where they are sent and where they are received, whatever is below or above", () => {
    const sent = span({ id: ONE, kind: "PRODUCER", ...at("gateway"), ...to("broker") });
    const received = span({ id: TWO, parentId: ONE, kind: "CONSUMER", ...at("vitrine"), ...to("broker") });
    assert.deepEqual(links(sent, received), ["gateway -> broker 1", "broker -> vitrine 1"]);
  });

  it("links nothing when one end is unknown", () => {
    assert.deepEqual(links(span({ kind: "SERVER" }), span({ kind: "CLIENT" }), span()), []);
  });

  it("counts errors of either half", () => {
    const failed = { tags: { error: "true" } };
    const client = span({ id: ONE, kind: "CLIENT", ...at("gateway"), ...failed });
    const server = span({ id: TWO, parentId: ONE, kind: "SERVER", ...at("vitrine") });
    assert.deepEqual(links(client, server), ["gateway -> vitrine 1 !1"]);
  });

  it("ends on spans that are each other's parents", () => {
    const one = span({ id: ONE, parentId: TWO });
    const two = span({ id: TWO, parentId: ONE });
    assert.deepEqual(links(one, two, span({ parentId: ONE, kind: "SERVER", ...at("vitrine") })), []);
  });

  it("adds up over traces", () => {
    const trace = [span({ kind: "CLIENT", ...at("vitrine"), ...to("hub") })];
    assert.deepEqual(linkTraces([trace, trace]), [{ parent: "vitrine", child: "hub", callCount: 2 }]);
  });
});
