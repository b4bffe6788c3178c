// @huggingface/transformers 4: for each line on stdin a generation of as many tokens as it says; answers with its milliseconds.
import { createInterface } from "node:readline";
import { AutoModelForCausalLM, AutoTokenizer, env } from "@huggingface/transformers";

env.allowRemoteModels = false;
env.localModelPath = process.argv[2];
const tokenizer = await AutoTokenizer.from_pretrained("model");
const model = await AutoModelForCausalLM.from_pretrained("model", {
  dtype: "q4",
  device: "cpu",
  // Threads that spin for one process would take the time of the next.
  session_options: { intraOpNumThreads: 1 },
});
const inputs = tokenizer("Once upon a time");

console.log("ready");
for await (const line of createInterface({ input: process.stdin })) {
  const tokens = Number(line);
  const start = performance.now();
  const output = await model.generate({ ...inputs, max_new_tokens: tokens, min_new_tokens: tokens, do_sample: false });
  const ms = performance.now() - start;
  if (output.dims[1] !== inputs.input_ids.dims[1] + tokens) throw new Error(`generated ${output.dims}`);
  console.log(ms);
}
