// CommonJS: Fastify and @huggingface/transformers 3. Goes on where a story ends.
const { AutoModelForCausalLM, AutoTokenizer, env } = require("@huggingface/transformers");
const fastify = require("fastify");

async function main() {
  env.allowRemoteModels = false;
  env.localModelPath = process.argv[2];
  const tokenizer = await AutoTokenizer.from_pretrained("model");
  const model = await AutoModelForCausalLM.from_pretrained("model", { dtype: "fp32" });
  const app = fastify();
  app.addContentTypeParser("text/plain", { parseAs: "string" }, async (_request, body) => body);
  app.post("/reviews", async ({ body }) => {
    const inputs = await tokenizer(body);
    const output = await model.generate({ ...inputs, max_new_tokens: 8, do_sample: false });
    return tokenizer.batch_decode(output, { skip_special_tokens: true })[0];
  });
  console.log(await app.listen({ port: 0, host: "127.0.0.1" }));
}

main();
