import { basename } from "node:path";
import { compare, interleave } from "../../bench/report.js";
import { VitrineProcess } from "../../support/vitrine-process.js";
import { ZipkinClient } from "../../support/zipkin-client.js";
import { skipped } from "./check-row.js";
import type { SectionContext } from "./section.js";

export const TRACING = "fp16 native, 16 streams: what tracing adds to the service's time";
const STREAMS = 16;
const ROUNDS = 3;
const PROMPT_TOKENS = 16;
/** What a GPU's readings leave on a span. */
const GPU_TAGS = ["ai.gpu.utilization", "ai.gpu.memory_used", "ai.gpu.power"];

/** The built service: a trace of it, and rounds of streams with every request traced against none. */
export async function measureService({ settings, model, tell }: SectionContext): Promise<void> {
  const { device, answerTokens } = settings;
  const flags = ["--device", device, "--runtime", "native", "--model", model, "--dtype", "fp16"];
  const start = (rate: string) =>
    VitrineProcess.start({
      flags: [...flags, "--max-sequences", String(STREAMS), "--sample-rate", rate],
    });
  const [traced, untraced] = [await start("1"), await start("0")];
  try {
    const { id } = await complete(traced, basename(model), answerTokens);
    const { tags = {} } = (await new ZipkinClient(`${traced.url}/zipkin`).awaitTrace(id)).named("model.generate");
    tell({ name: "ai.device of a request's span", value: tags["ai.device"] ?? "absent" });
    for (const tag of GPU_TAGS) {
      const name = `${tag} of a request's span`;
      if (device === "cpu") tell(skipped(name, "it runs on the CPU"));
      else tell({ name, value: tags[tag] ?? "absent", target: "there", met: tag in tags });
    }
    const variants = [traced, untraced].map((service, index) => ({
      name: String(index),
      round: async () => {
        const began = performance.now();
        await Promise.all(Array.from({ length: STREAMS }, () => complete(service, basename(model), answerTokens)));
        return performance.now() - began;
      },
    }));
    const costs = await interleave(variants, ROUNDS);
    const { ratio } = compare(costs.get("1") ?? [], costs.get("0") ?? []);
    tell({ name: TRACING, value: 100 * (ratio - 1), unit: "%" });
  } finally {
    await Promise.all([traced.stop(), untraced.stop()]);
  }
}

/** An answer to its end, and the id of its trace. */
async function complete({ url }: VitrineProcess, model: string, tokens: number): Promise<{ id: string }> {
  const body = {
    ...{ model, max_tokens: tokens, temperature: 0, ignore_eos: true, stream: true },
    prompt: Array.from({ length: PROMPT_TOKENS }, () => 1 + Math.floor(Math.random() * 90)),
  };
  const headers = { "content-type": "application/json" };
  const response = await fetch(`${url}/v1/completions`, { method: "POST", headers, body: JSON.stringify(body) });
  const text = await response.text();
  if (!response.ok) throw new Error(`the service answered ${response.status}: ${text}`);
  return { id: response.headers.get("x-b3-traceid") ?? "" };
}
