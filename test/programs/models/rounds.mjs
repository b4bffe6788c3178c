// @huggingface/transformers 4: for each line on stdin a generation of as many tokens as it says; answers with its milliseconds.
import { createInterface } from "node:readline";
import { AutoModelForCausalLM, env, Tensor } from "@huggingface/transformers";

const [models, name] = process.argv.slice(2);
env.allowRemoteModels = false;
env.localModelPath = models;
const model = await AutoModelForCausalLM.from_pretrained(name, {
  dtype: "q4",
  device: "cpu",
  // Threads that spin for one process would take the time of the next.
  session_options: { intraOpNumThreads: 1 },
});
const PROMPT = 8;
const tensor = () => new Tensor("int64", new BigInt64Array(PROMPT).fill(1n), [1, PROMPT]);
const inputs = { input_ids: tensor(), attention_mask: tensor() };

console.log("ready");
for await (const line of createInterface({ input: process.stdin })) {
  const tokens = Number(line);
  const start = performance.now();
  const output = await model.generate({ ...inputs, max_new_tokens: tokens, min_new_tokens: tokens, do_sample: false });
  const ms = performance.now() - start;
  if (output.dims[1] !== PROMPT + tokens) throw new Error(`generated ${output.dims}`);
  console.log(ms);
}
