/**
 * What the graph rewrites do to a real model's answers: SmolLM2-135M-Instruct, exported by the real exporters and run by
 * the code that serves. Every graph predicts the same text and continues the same prompts. `--quick` takes a quarter of
 * both, for work on the benchmark itself.
 */
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { setAccuracyLevel } from "../../src/runtime/graph/accuracy-level.js";
import { keepLastLogits } from "../../src/runtime/graph/output-head.js";
import { packAttention } from "../../src/runtime/graph/packed-attention.js";
import { quantizeHead } from "../../src/runtime/graph/quantized-head.js";
import { loadChatTemplate } from "../../src/runtime/text/chat-template.js";
import { loadTokenizer } from "../../src/runtime/text/tokenizer.js";
import { mean } from "./quality/divergence.js";
import { exportedModel, readTexts } from "./quality/files.js";
import { type Answers, answer, compareWindows, type Material, ROWS, sameContinuations } from "./quality/measure.js";
import { PROMPTS } from "./quality/prompts.js";
import { openRunner, type Variant } from "./quality/runners.js";
import { type BenchRow, type BenchValue, quartiles, report } from "./report.js";

const { values: flags } = parseArgs({ options: { quick: { type: "boolean" } }, strict: false });
const SHARE = flags.quick === true ? 0.25 : 1;
const WINDOW_TOKENS = 256;
/** More than enough text for a window. */
const WINDOW_CHARACTERS = 12 * WINDOW_TOKENS;

/** The perplexity may grow by a hundredth: a third of what good 4-bit weights (q4_K_M) cost LLaMA 3 8B, by llama.cpp's table. */
const LEAST_PERPLEXITY_RATIO = 1 / 1.01;
/** In nats: what 6-bit weights (q6_K) cost it, by the same table (tools/perplexity/README.md of llama.cpp). */
const MOST_DIVERGENCE = 0.0057;

interface Measured {
  readonly name: string;
  readonly answers: Answers;
}

class QualityBenchmark {
  readonly rows: BenchRow[] = [];
  readonly values: BenchValue[] = [];

  constructor(
    private readonly folder: string,
    private readonly material: Material,
  ) {}

  async measure(name: string, variant: Variant): Promise<Measured> {
    const started = performance.now();
    const runner = await openRunner(this.folder, variant, ROWS);
    try {
      return { name, answers: await answer(runner, this.material) };
    } finally {
      await runner.dispose();
      const seconds = ((performance.now() - started) / 1000).toFixed(0);
      process.stderr.write(`${name}: ${seconds} s\n`);
    }
  }

  /** `judged` rows have targets: they are the rewrites that change what a file computes. */
  compare(own: Measured, reference: Measured, judged = false): void {
    const windows = compareWindows(this.material.windows, own.answers, reference.answers);
    const title = `${own.name}, against ${reference.name}`;
    const value = (what: string, number: number, unit: string) =>
      this.values.push({ name: `${title}: ${what}`, value: number, unit });
    value("perplexity", Math.exp(mean(windows.map(({ loss }) => loss))), "");
    value("KL divergence", mean(windows.map(({ divergence }) => divergence)), "nats");
    value("same likeliest token", 100 * mean(windows.map(({ sameTop }) => sameTop)), "%");
    value("same continuation", 100 * sameContinuations(own.answers, reference.answers), "%");
    value("largest difference of a log-probability", Math.max(...windows.map(({ largest }) => largest)), "nats");
    const ratios = (name: string, costs: readonly number[], whole: number, target: number) => {
      const row = { name: `${own.name}, ${name}`, against: reference.name, ratio: whole, spread: quartiles(costs) };
      this.rows.push(judged ? { ...row, target } : row);
    };
    const gains = windows.map(({ loss, referenceLoss }) => referenceLoss - loss);
    ratios("perplexity", gains.map(Math.exp), Math.exp(mean(gains)), LEAST_PERPLEXITY_RATIO);
    if (!judged) return;
    const shares = windows.map(({ divergence }) => MOST_DIVERGENCE / divergence);
    ratios("KL bound over KL", shares, 1 / mean(shares.map((share) => 1 / share)), 1);
  }
}

async function readMaterial(directory: string, texts: readonly string[]): Promise<Material> {
  const tokenizer = await loadTokenizer(directory);
  const template = loadChatTemplate(directory);
  const encode = (text: string): Int32Array => tokenizer.encode(text, { addSpecialTokens: false });
  const windows = texts.map((text) => encode(text.slice(0, WINDOW_CHARACTERS)).slice(0, WINDOW_TOKENS));
  const prompts = PROMPTS.map((content) => encode(template?.render([{ role: "user", content }]) ?? content));
  const some = <Item>(items: readonly Item[]): Item[] => items.slice(0, Math.ceil(items.length * SHARE));
  return { windows: some(windows), prompts: some(prompts) };
}

async function compareAll(bench: QualityBenchmark): Promise<void> {
  const genai = { folder: "genai" } as const;
  const fp32 = await bench.measure("fp32", { ...genai, dtype: "fp32", rewrites: [] });
  bench.compare(await bench.measure("fp32 as served", { ...genai, dtype: "fp32", rewrites: "served" }), fp32);
  await compareFourBits(bench, fp32);
  const half = await bench.measure("q4f16", { ...genai, dtype: "q4f16", rewrites: [] });
  bench.compare(half, fp32);
  bench.compare(await bench.measure("q4f16 as served", { ...genai, dtype: "q4f16", rewrites: "served" }), half, true);
  for (const dtype of ["int8", "uint8"] as const) {
    bench.compare(await bench.measure(`${dtype} as served`, { ...genai, dtype, rewrites: "served" }), fp32);
  }
  await compareFloatHead(bench, fp32);
}

async function compareFourBits(bench: QualityBenchmark, fp32: Measured): Promise<void> {
  const measure = (name: string, rewrites: Variant["rewrites"]) =>
    bench.measure(name, { folder: "genai", dtype: "q4", rewrites });
  const plain = await measure("q4", []);
  bench.compare(plain, fp32);
  bench.compare(await measure("q4, logits of the last row", [keepLastLogits]), plain);
  bench.compare(await measure("q4, packed attention", [packAttention]), plain);
  const level4 = await measure("q4, accuracy level 4", [setAccuracyLevel]);
  bench.compare(level4, fp32);
  bench.compare(level4, plain, true);
  const served = await measure("q4 as served", "served");
  bench.compare(served, level4);
  bench.compare(served, plain, true);
}

async function compareFloatHead(bench: QualityBenchmark, fp32: Measured): Promise<void> {
  const measure = (name: string, rewrites: Variant["rewrites"]) =>
    bench.measure(name, { folder: "genai-float-head", dtype: "q4", rewrites });
  const plain = await measure("q4 with fp32 head", []);
  bench.compare(plain, fp32);
  bench.compare(await measure("q4 with fp32 head, made 8-bit", [quantizeHead]), plain, true);
  bench.compare(await measure("q4 with fp32 head as served", "served"), plain, true);
}

const cache = join(tmpdir(), "vitrine-bench");
const texts = readTexts(cache);
const model = exportedModel(cache);
if ("missing" in texts) console.log(`Nothing was measured: ${texts.missing}`);
else if ("missing" in model) console.log(`Nothing was measured: ${model.missing}`);
else {
  const bench = new QualityBenchmark(model.path, await readMaterial(join(model.path, "genai"), texts));
  await compareAll(bench);
  report("npm run bench:quality", bench.rows, bench.values);
}
