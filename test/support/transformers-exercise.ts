/**
 * What programs do with transformers.js, the same in all its versions. Everything it answers goes to stdout, a line each, so that
 * answers with and without instrumentation can be compared.
 */

interface Tensor {
  readonly dims: readonly number[];
  tolist(): unknown;
}
interface Encoded {
  readonly input_ids: Tensor;
  readonly attention_mask: Tensor;
}
interface Model {
  (inputs: object): Promise<Record<string, Tensor>>;
  generate(inputs: unknown, config?: object): Promise<unknown>;
  forward(inputs: object): Promise<Record<string, Tensor>>;
}
interface Tokenizer {
  (text: string | readonly string[], options?: object): Encoded;
  encode(text: string): readonly number[];
}
interface Pretrained<T> {
  from_pretrained(name: string, options?: object): Promise<T>;
}
interface Library {
  readonly env: { allowRemoteModels: boolean; localModelPath: string };
  readonly AutoModelForCausalLM: Pretrained<Model>;
  readonly AutoTokenizer: Pretrained<Tokenizer>;
  readonly PreTrainedTokenizer: new (...args: never[]) => object;
  readonly TextGenerationPipeline: new (...args: never[]) => object;
  pipeline(
    task: string,
    model: string,
    options?: object,
  ): Promise<(text: string, options?: object) => Promise<unknown>>;
}

export const PROMPT = "Once upon a time";
const GREEDY = { do_sample: false, max_new_tokens: 8 };

const print = (what: string, value: unknown): void => {
  const text = JSON.stringify(value, (_, one: unknown) => (typeof one === "bigint" ? Number(one) : one));
  process.stdout.write(`${what}: ${text}\n`);
};

/** `models` holds the directory `model`; before version 3, `generate` takes its parameters one by one. */
export async function exercise(library: Library, models: string, version: string, options: object): Promise<void> {
  library.env.allowRemoteModels = false;
  library.env.localModelPath = models;
  const generating = (model: Model, { input_ids, attention_mask }: Encoded, config: object) =>
    version.startsWith("2.")
      ? model.generate(input_ids, config)
      : model.generate({ input_ids, attention_mask, ...config });

  const pipe = await library.pipeline("text-generation", "model", options);
  print("pipeline", await pipe(PROMPT, GREEDY));
  print("kinds", [pipe instanceof library.TextGenerationPipeline, pipe.length, library.pipeline.name]);

  const [model, tokenizer] = await Promise.all([
    library.AutoModelForCausalLM.from_pretrained("model", options),
    library.AutoTokenizer.from_pretrained("model"),
  ]);
  const encoded = tokenizer(PROMPT);
  print("encoded", [encoded.input_ids.tolist(), tokenizer.encode(PROMPT)]);
  print("generated", await answers(generating(model, encoded, GREEDY)));
  const both = [4, 6].map((max_new_tokens) => generating(model, encoded, { ...GREEDY, max_new_tokens }));
  print("at once", await Promise.all(both.map(answers)));
  const { logits, ...cache } = await model({ ...encoded });
  print("forward", [logits?.dims, Object.keys(cache).length]);
  for (const wrong of [
    () => tokenizer(null as never),
    () => model.generate({}),
    () => generating(model, { ...encoded, input_ids: { dims: [1] } as never }, GREEDY),
  ]) {
    try {
      print("no error", await wrong());
    } catch (error) {
      print("error", error instanceof Error ? [error.name, error.message] : error);
    }
  }
}

async function answers(result: Promise<unknown>): Promise<unknown> {
  const ids = await result;
  return Array.isArray(ids) ? ids : (ids as Tensor).tolist();
}
