/**
 * transformers.js behind a minimal HTTP server, as a program that serves it would begin: OpenAI's completions, each request
 * a call of `generate`. Tokens are written one by one as they come, without waiting for whole words, which is the quickest
 * it can be. Prints its address once it is ready.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createRequire } from "node:module";
import type { AddressInfo } from "node:net";
import { basename, dirname, join } from "node:path";
import { pathToFileURL } from "node:url";

export interface TransformersSettings {
  /** Where the package is installed. */
  readonly packages: string;
  /** Directory in the layout of onnxruntime-genai's builder: `model_q4.onnx` beside `config.json`. */
  readonly model: string;
  readonly threads: number;
}

interface Streamer {
  /** First the prompt, then what is generated, a token at a time. */
  put(tokens: readonly (readonly bigint[])[]): void;
  end(): void;
}
interface Model {
  generate(options: object): Promise<unknown>;
}
interface Tokenizer {
  (text: string): { readonly input_ids: { readonly size: number } };
  decode(ids: readonly bigint[]): string;
}
interface Transformers {
  readonly env: { allowRemoteModels: boolean; localModelPath: string };
  readonly AutoModelForCausalLM: { from_pretrained(name: string, options: object): Promise<Model> };
  readonly AutoTokenizer: { from_pretrained(name: string): Promise<Tokenizer> };
}

interface Asked {
  readonly prompt: string;
  readonly max_tokens: number;
  readonly stream?: boolean;
  readonly ignore_eos?: boolean;
}

const settings = JSON.parse(process.argv[2] ?? "{}") as TransformersSettings;
const entry = createRequire(join(settings.packages, "package.json")).resolve("@huggingface/transformers");
const library = (await import(pathToFileURL(entry).href)) as Transformers;
library.env.allowRemoteModels = false;
library.env.localModelPath = dirname(settings.model);
const name = basename(settings.model);
const tokenizer = await library.AutoTokenizer.from_pretrained(name);
const model = await library.AutoModelForCausalLM.from_pretrained(name, {
  dtype: "q4",
  device: "cpu",
  subfolder: "",
  session_options: { intraOpNumThreads: settings.threads },
});

/** Greedy, as every target here is asked to be. */
async function generate({ prompt, max_tokens, ignore_eos }: Asked, onToken: (text: string) => void): Promise<object> {
  const inputs = tokenizer(prompt);
  let prompted = false;
  let tokens = 0;
  const streamer: Streamer = {
    put([ids = []]) {
      if (prompted) {
        tokens += 1;
        onToken(tokenizer.decode(ids));
      }
      prompted = true;
    },
    end() {},
  };
  const length = { max_new_tokens: max_tokens, ...(ignore_eos ? { min_new_tokens: max_tokens } : {}) };
  await model.generate({ ...inputs, ...length, do_sample: false, streamer });
  return { prompt_tokens: inputs.input_ids.size, completion_tokens: tokens };
}

async function answer(asked: Asked, response: ServerResponse): Promise<void> {
  const event = (data: object): unknown => response.write(`data: ${JSON.stringify(data)}\n\n`);
  if (asked.stream !== true) {
    let text = "";
    const usage = await generate(asked, (piece) => {
      text += piece;
    });
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ choices: [{ index: 0, text, finish_reason: "length" }], usage }));
    return;
  }
  response.writeHead(200, { "content-type": "text/event-stream" });
  const usage = await generate(asked, (text) => event({ choices: [{ index: 0, text }] }));
  event({ choices: [{ index: 0, text: "", finish_reason: "length" }], usage });
  response.end("data: [DONE]\n\n");
}

async function bodyOf(request: IncomingMessage): Promise<Asked> {
  let body = "";
  for await (const piece of request.setEncoding("utf8")) body += piece;
  return JSON.parse(body) as Asked;
}

const server = createServer(async (request, response) => {
  try {
    if (request.method === "GET") response.end(JSON.stringify({ data: [{ id: name }] }));
    else await answer(await bodyOf(request), response);
  } catch (error) {
    console.error(error);
    response.destroy();
  }
});
server.listen(0, "127.0.0.1", () => {
  console.log(`Listening on http://127.0.0.1:${(server.address() as AddressInfo).port}`);
});
