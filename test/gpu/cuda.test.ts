/** The service on a GPU: the device is CUDA, the answers are the CPU's, and the spans tell what the GPU did. */
import assert from "node:assert/strict";
import { openGpuSampler } from "../../src/gpu/sampler.js";
import { openaiClient } from "../support/openai-client.js";
import { requirePart } from "../support/requirements.js";
import { VitrineProcess } from "../support/vitrine-process.js";
import { ZipkinClient } from "../support/zipkin-client.js";

interface Health {
  readonly device: { readonly provider: string; readonly deviceId?: number } | null;
}

const STORY = { model: "tiny", prompt: "Once upon a time", temperature: 0, max_tokens: 200 } as const;

describe("CUDA", function () {
  this.timeout(180_000);
  let vitrine: VitrineProcess | undefined;

  before(async function () {
    const sampler = await openGpuSampler();
    sampler?.close();
    requirePart(this, {
      name: "an NVIDIA GPU",
      available: sampler !== undefined,
      why: "neither libnvidia-ml.so.1 nor nvidia-smi reads one here",
      mandatoryInCi: false,
    });
    vitrine = await VitrineProcess.start({ flags: ["--device", "cuda", "--dtype", "fp32"] });
  });

  after(async () => {
    await vitrine?.stop();
  });

  /** Greedy text and the trace of the request that made it. */
  async function tell(server: VitrineProcess) {
    const { data, response } = await openaiClient(server.url).completions.create(STORY).withResponse();
    const store = new ZipkinClient(`${server.url}/zipkin`);
    const trace = await store.awaitTrace(response.headers.get("x-b3-traceid") ?? "");
    return { text: data.choices[0]?.text, trace };
  }

  it("is where the model runs, as /health says", async () => {
    assert.ok(vitrine);
    const health = (await (await fetch(`${vitrine.url}/health`)).json()) as Health;
    assert.equal(health.device?.provider, "cuda");
    assert.equal(health.device?.deviceId, 0);
  });

  it("writes what the CPU writes", async () => {
    assert.ok(vitrine);
    const cpu = await VitrineProcess.start({ flags: ["--device", "cpu", "--dtype", "fp32"] });
    try {
      assert.equal((await tell(vitrine)).text, (await tell(cpu)).text);
    } finally {
      await cpu.stop();
    }
  });

  it("fills the GPU tags of model.generate", async () => {
    assert.ok(vitrine);
    const { tags = {} } = (await tell(vitrine)).trace.named("model.generate");
    assert.match(tags["ai.device"] ?? "", /^cuda/);
    const utilization = Number(tags["ai.gpu.utilization"]);
    assert.ok(utilization >= 0 && utilization <= 100);
    assert.ok(Number(tags["ai.gpu.memory_used"]) > 0);
  });
});
