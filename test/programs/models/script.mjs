// A script on @xenova/transformers 2.
import { env, pipeline } from "@xenova/transformers";

env.allowRemoteModels = false;
env.localModelPath = process.argv[2];
const generate = await pipeline("text-generation", "model", { quantized: false });
const [{ generated_text }] = await generate("the", { max_new_tokens: 12, do_sample: false });
console.log(generated_text);
