/** Several collectors at once: each gets every span, and none waits for another. */
import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { fromBinary, toJson } from "@bufbuild/protobuf";
import type { Destination } from "../../src/tracing/export/destination.js";
import type { ExportCounters } from "../../src/tracing/tracing.js";
import { type MessageTable, messageSchema, Type } from "../support/proto-schema.js";
import { QUICK, request, TracingHarness, until } from "./tracing-harness.js";

/** The parts of OTLP's published schema that are looked at; a decoder skips the others. */
const OTLP: MessageTable = {
  Request: [["resourceSpans", 1, Type.MESSAGE, "ResourceSpans", true]],
  ResourceSpans: [
    ["resource", 1, Type.MESSAGE, "Resource"],
    ["scopeSpans", 2, Type.MESSAGE, "ScopeSpans", true],
  ],
  Resource: [["attributes", 1, Type.MESSAGE, "KeyValue", true]],
  ScopeSpans: [["spans", 2, Type.MESSAGE, "Span", true]],
  Span: [
    ["traceId", 1, Type.BYTES],
    ["parentSpanId", 4, Type.BYTES],
    ["name", 5, Type.STRING],
    ["kind", 6, Type.INT32],
    ["start", 7, Type.FIXED64],
    ["end", 8, Type.FIXED64],
    ["attributes", 9, Type.MESSAGE, "KeyValue", true],
    ["status", 15, Type.MESSAGE, "Status"],
  ],
  KeyValue: [
    ["key", 1, Type.STRING],
    ["value", 2, Type.MESSAGE, "AnyValue"],
  ],
  AnyValue: [
    ["string", 1, Type.STRING],
    ["bool", 2, Type.BOOL],
    ["int", 3, Type.INT64],
    ["double", 4, Type.DOUBLE],
  ],
  Status: [
    ["message", 2, Type.STRING],
    ["code", 3, Type.INT32],
  ],
};
const REQUEST = messageSchema(OTLP, "Request");

interface KeyValue {
  readonly key: string;
  readonly value: Readonly<Record<string, unknown>>;
}
interface OtlpSpan {
  readonly traceId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: number;
  readonly start: string;
  readonly end: string;
  readonly attributes?: readonly KeyValue[];
  readonly status?: object;
}
interface OtlpRequest {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: readonly KeyValue[] };
    readonly scopeSpans: readonly { readonly spans: readonly OtlpSpan[] }[];
  }[];
}

class OtlpCollector {
  readonly received: { readonly request: IncomingMessage; readonly body: OtlpRequest }[] = [];
  readonly #server: Server;

  constructor(readonly status: number) {
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        const body = toJson(REQUEST, fromBinary(REQUEST, Buffer.concat(chunks))) as unknown as OtlpRequest;
        this.received.push({ request, body });
        response.writeHead(this.status).end();
      });
    });
  }

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/v1/traces`;
  }

  get spans(): OtlpSpan[] {
    return this.received.flatMap(({ body }) => body.resourceSpans.flatMap((r) => r.scopeSpans.flatMap((s) => s.spans)));
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }
}

function assertBalanced({ ended, delivered, dropped, queued, sampledOut }: ExportCounters): void {
  const lost = Object.values(dropped).reduce((sum, count) => sum + count, 0);
  assert.equal(ended, delivered + lost + queued + sampledOut);
}

describe("several destinations", function () {
  this.timeout(30_000);
  const harness = new TracingHarness();
  const collectors: OtlpCollector[] = [];

  afterEach(async () => {
    await harness.stop();
    for (const collector of collectors.splice(0)) collector.stop();
  });

  async function otlp(status = 200): Promise<{ collector: OtlpCollector; destination: Destination }> {
    const collector = new OtlpCollector(status);
    collectors.push(collector);
    const endpoint = await collector.start();
    return { collector, destination: { kind: "otlp", endpoint, headers: { "x-scope-orgid": "t1" } } };
  }

  it("get every span, each in its own form", async () => {
    const zipkin = await harness.collector(202);
    const { collector, destination } = await otlp();
    const destinations: Destination[] = [{ kind: "zipkin", endpoint: zipkin.endpoint }, destination];
    const tracing = harness.start(undefined, {}, { destinations });
    const traceId = request(tracing);
    await until(() => tracing.destinations().every(({ counters }) => counters.delivered === 2));
    assert.deepEqual(
      tracing.destinations().map(({ kind }) => kind),
      ["zipkin", "otlp"],
    );
    for (const { counters } of tracing.destinations()) assertBalanced(counters);

    const same = zipkin.received.flatMap(({ spans }) => spans).find(({ kind }) => kind === "SERVER");
    assert.equal(same?.tags?.["http.status_code"], "200");
    const server = collector.spans.find(({ kind }) => kind === 2);
    const child = collector.spans.find(({ kind }) => kind === 1);
    assert.equal(Buffer.from(server?.traceId ?? "", "base64").toString("hex"), traceId);
    assert.deepEqual([server?.parentSpanId, child?.name], [undefined, "tokenize"]);
    assert.ok(child?.parentSpanId !== undefined);
    const nanoseconds = BigInt(server?.end ?? 0) - BigInt(server?.start ?? 0);
    assert.equal(nanoseconds, BigInt(same?.duration ?? 0) * 1_000n);
    const status = server?.attributes?.find(({ key }) => key === "http.status_code")?.value;
    assert.deepEqual(status, { int: "200" }, "attributes keep their types");
    const [first] = collector.received;
    assert.deepEqual(
      [first?.request.headers["content-type"], first?.request.headers.b3, first?.request.headers["x-scope-orgid"]],
      ["application/x-protobuf", "0", "t1"],
    );
    const resource = first?.body.resourceSpans[0]?.resource.attributes;
    assert.deepEqual(resource, [{ key: "service.name", value: { string: "vitrine" } }]);
  });

  it("do not wait for one that hangs, whose queue is bounded by itself", async () => {
    const hung = await harness.collector("hang");
    const { collector, destination } = await otlp();
    const destinations: Destination[] = [{ kind: "zipkin", endpoint: hung.endpoint }, destination];
    const deliveryLimits = { ...QUICK, queueSpans: 10, batchSpans: 2, requestTimeoutMs: 600_000 };
    const tracing = harness.start(undefined, { deliveryLimits }, { destinations });
    for (let count = 1; count <= 20; count++) {
      request(tracing);
      await until(() => collector.spans.length === 2 * count);
    }
    await until(() => tracing.destinations()[1]?.counters.delivered === 40);
    const [zipkin] = tracing.destinations();
    assert.deepEqual([zipkin?.counters.queued, zipkin?.counters.dropped.queue_full], [10, 30]);
    for (const { counters } of tracing.destinations()) assertBalanced(counters);
  });

  it("tell of a span that was lost before it went to any of them once, and not once for each", async () => {
    const { destination } = await otlp();
    const zipkin = await harness.collector(202);
    const destinations: Destination[] = [{ kind: "zipkin", endpoint: zipkin.endpoint }, destination];
    const tracing = harness.start(undefined, { ringBytes: 4_096, drainMs: 600_000 }, { destinations });
    for (let count = 0; count < 100; count++) request(tracing);
    await tracing.shutdown(10_000);
    const told = harness.logs.filter((line) => line.includes("dropped (ring_full)"));
    const [{ counters } = { counters: undefined }] = tracing.destinations();
    assert.equal(told.length, 1, told.join("\n"));
    assert.ok(told[0]?.startsWith(`${counters?.dropped.ring_full} spans dropped (ring_full): `));
  });

  it("count apart what an OTLP collector refuses and who cannot be reached", async () => {
    const { destination } = await otlp(400);
    const nobody: Destination = { kind: "zipkin", endpoint: "http://127.0.0.1:1/api/v2/spans" };
    const tracing = harness.start(undefined, {}, { destinations: [destination, nobody] });
    request(tracing);
    await tracing.shutdown(10_000);
    const [refused, lost] = tracing.destinations();
    assert.deepEqual([refused?.counters.dropped.refused, lost?.counters.dropped.connection_failed], [2, 2]);
    for (const { counters } of tracing.destinations()) assertBalanced(counters);
    assert.ok(harness.logs.some((line) => line.startsWith("Spans since start (otlp): 2 ended, 0 delivered")));
  });
});
