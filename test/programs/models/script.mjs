// A script on @xenova/transformers 2.
import { env, pipeline } from "@xenova/transformers";

env.allowRemoteModels = false;
env.localModelPath = process.argv[2];
const generate = await pipeline("text-generation", "tiny", { model_file_name: "model", quantized: false });
const [{ generated_text }] = await generate("Once upon a time", { max_new_tokens: 12, do_sample: false });
console.log(generated_text);
