import assert from "node:assert/strict";
import { TraceReadback } from "../../../../src/bench/traces/readback.js";
import { simulatedPoint } from "../../../support/bench-result.js";
import { recordedSpan, streamedRecord, streamedTrace } from "../../../support/recorded-traces.js";

const { traces: _, ...simulated } = simulatedPoint();
const point = { ...simulated, requests: [streamedRecord()] };
const client = recordedSpan("post", 3_599_998, 3_600_103, { id: "client", kind: "CLIENT" });

/** Answers with these spans, notes what was asked, and lets time pass by waiting only. */
function scripted(spans: readonly unknown[]) {
  const asked: string[] = [];
  let time = 0;
  const reading = {
    now: () => time,
    sleep: async (ms: number) => {
      time += ms;
    },
    fetch: async (url: unknown) => {
      asked.push(String(url));
      return Response.json(spans);
    },
  };
  return { asked, reading, waited: () => time };
}

describe("TraceReadback", () => {
  it("asks the target's own store after each load, and nobody at the end", async () => {
    const { asked, reading } = scripted(streamedTrace());
    const readback = new TraceReadback(undefined, reading);
    const after = await readback.afterLoad(point, "http://worker:8080/v1");
    assert.equal(after.traces?.complete, 1);
    assert.match(asked.join(), /^http:\/\/worker:8080\/zipkin\/api\/v2\/trace\/[0-9a-f]{32}$/);
    assert.deepEqual(await readback.atEnd([after]), [after]);
    assert.equal(asked.length, 1);
  });

  it("asks the Zipkin at the end, where the harness's span has to be, too", async () => {
    const { asked, reading } = scripted([client, ...streamedTrace()]);
    const readback = new TraceReadback("http://zipkin:9411/api/v2/spans", reading);
    assert.equal(await readback.afterLoad(point, "http://worker:8080/v1"), point);
    const [after] = await readback.atEnd([point]);
    assert.equal(after?.traces?.complete, 1);
    assert.match(asked.join(), /^http:\/\/zipkin:9411\/api\/v2\/trace\//);
  });

  it("waits for all loads together as long as for one", async () => {
    const { reading, waited } = scripted(streamedTrace());
    const found = await new TraceReadback("http://zipkin:9411/api/v2/spans", reading).atEnd([point, point, point]);
    assert.deepEqual(
      found.map(({ traces }) => traces?.complete),
      [0, 0, 0],
    );
    assert.equal(waited(), 15_000);
  });
});
