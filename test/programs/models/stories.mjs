// An ES module: Express and @huggingface/transformers 4. Makes a story and has it reviewed elsewhere.
import { env, pipeline } from "@huggingface/transformers";
import express from "express";

const [models, reviews] = process.argv.slice(2);
env.allowRemoteModels = false;
env.localModelPath = models;
const generate = await pipeline("text-generation", "model", { dtype: "q4" });

const app = express();
app.post("/stories", async (_request, response) => {
  const [{ generated_text }] = await generate("Once upon a time", { max_new_tokens: 24, do_sample: false });
  const answer = await fetch(`${reviews}/reviews?draft=1`, { method: "POST", body: generated_text });
  response.json({ story: generated_text, review: await answer.text() });
});
const server = app.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
