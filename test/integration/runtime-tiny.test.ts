import assert from "node:assert/strict";
import type { ModelRunner } from "../../src/engine/runner.js";
import type { Dtype } from "../../src/protocol.js";
import { resolveModelDirectory } from "../../src/runtime/files/model-directory.js";
import { loadModel } from "../../src/runtime/load/load-model.js";
import { loadChatTemplate } from "../../src/runtime/text/chat-template.js";
import { loadTokenizer, type Tokenizer } from "../../src/runtime/text/tokenizer.js";
import { runLogits } from "../support/run-logits.js";

const modelDir = resolveModelDirectory("tiny");

async function load(dtype: Dtype | "auto"): Promise<ModelRunner> {
  const options = { modelDir, dtype, device: "cpu", threads: 1, maxSequences: 2 } as const;
  return (
    await loadModel(
      options,
      () => 0,
      () => {},
    )
  ).runner;
}

async function feed(runner: ModelRunner, slot: number, tokens: Int32Array, past: number): Promise<Float32Array> {
  const [logits] = await runLogits(runner, [{ slot, tokens, past }]);
  assert.ok(logits);
  return logits.slice();
}

/** Cosine of the angle between two rows: 1 when they rank and space all tokens alike. */
function cosine(a: Float32Array, b: Float32Array): number {
  const dot = (x: Float32Array, y: Float32Array) => x.reduce((sum, value, i) => sum + value * (y[i] as number), 0);
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
}

describe("the shipped model", () => {
  let tokenizer: Tokenizer;
  let prompt: Int32Array;
  let reference: Float32Array;

  before(async () => {
    tokenizer = await loadTokenizer(modelDir);
    prompt = tokenizer.encode("Once upon a time, there lived a girl.", { addSpecialTokens: true });
    const runner = await load("fp32");
    reference = await feed(runner, 0, prompt, 0);
    await runner.dispose();
  });

  it("is q4 on the CPU unless asked otherwise", async () => {
    const runner = await load("auto");
    assert.equal(runner.model.dtype, "q4");
    assert.equal(runner.model.name, "tiny");
    assert.equal(runner.model.vocabSize, tokenizer.vocabSize);
    await runner.dispose();
  });

  // Least likeness to fp32's logits, and the largest difference between a prompt at once and token by token:
  // int4 and int8 round activations by the block they are in, so their results depend a little on the batch.
  const files: [Dtype, number, number][] = [
    ["fp32", 0.999999, 1e-3],
    ["fp16", 0.999, 0.05],
    ["q4", 0.98, 0.3],
    ["q4f16", 0.98, 0.3],
    ["int8", 0.98, 1],
  ];
  for (const [dtype, likeness, tolerance] of files) {
    it(`runs as ${dtype}`, async () => {
      const runner = await load(dtype);
      assert.equal(runner.model.dtype, dtype);
      const whole = await feed(runner, 0, prompt, 0);
      assert.ok(cosine(whole, reference) >= likeness, `cosine ${cosine(whole, reference)}`);
      let stepwise: Float32Array = new Float32Array(0);
      for (const [past, token] of prompt.entries()) stepwise = await feed(runner, 1, Int32Array.of(token), past);
      const worst = whole.reduce((most, value, i) => Math.max(most, Math.abs(value - (stepwise[i] ?? Number.NaN))), 0);
      assert.ok(worst <= tolerance, `logits differ by ${worst}`);
      await runner.dispose();
    });
  }

  it("writes readable text, the same streamed and whole", async () => {
    const runner = await load("q4");
    const stream = tokenizer.stream(prompt);
    let logits = await feed(runner, 0, prompt, 0);
    let text = "";
    const ids: number[] = [];
    while (ids.length < 60) {
      const best = logits.indexOf(Math.max(...logits));
      if (tokenizer.eosTokenIds.includes(best)) break;
      ids.push(best);
      text += stream.push(best);
      logits = await feed(runner, 0, Int32Array.of(best), prompt.length + ids.length - 1);
    }
    text += stream.flush();
    assert.equal(text, tokenizer.decode(ids));
    assert.ok((text.match(/\b[a-zA-Z]{2,}\b/g) ?? []).length >= 10, "too few words");
    assert.ok(!/[^\x20-\x7e\n]/.test(text), "characters that no story has");
    await runner.dispose();
  });

  it("renders its chat template to special tokens that the tokenizer knows", () => {
    const rendered = loadChatTemplate(modelDir)?.render([{ role: "user", content: "Hello." }]);
    assert.ok(rendered);
    const ids = [...tokenizer.encode(rendered, { addSpecialTokens: false })];
    assert.equal(tokenizer.decode(ids), "user\nHello.\nassistant\n");
    assert.ok(tokenizer.eosTokenIds.some((id) => ids.includes(id)));
  });
});
