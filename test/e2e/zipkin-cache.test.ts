/** The KV cache's growth, as a real Zipkin and vitrine's own store show it of a request to a real vitrine. */
import assert from "node:assert/strict";
import type { Trace } from "../support/spans.js";
import { TracedService } from "../support/traced-service.js";
import { ZipkinClient } from "../support/zipkin-client.js";

describe("a request that outgrows the KV cache", function () {
  this.timeout(120_000);
  let service: TracedService;
  let traceId: string;

  before(async function () {
    service = await TracedService.start(this);
    // The first request had 256 tokens allocated for it.
    traceId = (await service.stream(600)).traceId;
  });

  after(async () => {
    await service?.stop();
  });

  for (const where of ["a real Zipkin", "the store"] as const) {
    it(`shows when it grew, by how much and how long that took, in ${where}`, async () => {
      const zipkin = where === "a real Zipkin" ? service.zipkin : new ZipkinClient(`${service.vitrine.url}/zipkin`);
      check(await zipkin.awaitTrace(traceId));
    });
  }

  it("is counted", async () => {
    const page = await (await fetch(`${service.vitrine.url}/metrics`)).text();
    const value = (name: string): number =>
      Number(new RegExp(`^vitrine_kv_cache_${name}{.*} (.*)$`, "m").exec(page)?.[1]);
    assert.ok(value("growths_total") >= 3);
    assert.equal(value("growth_failures_total"), 0);
    assert.ok(value("growth_seconds_total") > 0);
    assert.ok(value("allocated_bytes") > 0 && value("allocated_bytes") <= value("limit_bytes"));
  });
});

function check(trace: Trace): void {
  const generate = trace.named("model.generate");
  const { tags: allocated = {} } = trace.named("kv_cache.allocate");
  assert.equal(allocated["ai.kv.device"], "cpu");
  assert.ok(Number(allocated["ai.kv.pool_bytes"]) >= Number(allocated["ai.kv.bytes"]));
  assert.equal(allocated["ai.kv.wait_ms"], "0");
  // 256, 512, 1024 tokens: it was larger before the prompt than its first token needed.
  const growths = trace.spans.filter(({ name }) => name === "kv_cache.grow");
  assert.equal(growths.length, 2, `${trace}`);
  let bytes = Number(allocated["ai.kv.pool_bytes"]);
  let took = 0;
  for (const { parentId, tags = {}, duration } of growths.sort((a, b) => a.timestamp - b.timestamp)) {
    assert.equal(parentId, generate.id);
    assert.equal(Number(tags["ai.kv.growth_bytes"]), bytes, "it doubles");
    bytes += Number(tags["ai.kv.growth_bytes"]);
    assert.equal(Number(tags["ai.kv.pool_bytes"]), bytes);
    assert.ok(Math.abs(Number(tags["ai.kv.growth_ms"]) * 1000 - duration) <= 2);
    took += Number(tags["ai.kv.growth_ms"]);
  }
  const { tags: decode = {} } = trace.named("inference.forward", { "ai.phase": "decode" });
  assert.ok(Math.abs(Number(decode["ai.kv.growth_ms"]) - took) < 0.01, `${trace}`);
}
