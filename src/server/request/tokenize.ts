import type { CancelCause } from "../../protocol.js";
import { type LongInputEncoder, tooLong } from "../../runtime/text/tokenizer.js";
import type { ServerContext } from "../context.js";
import { cancelError, toVitrineError } from "../error-response.js";
import type { Abortable, Exchange } from "../exchange.js";
import type { Prompt } from "./fields.js";
import { paramOf, traceUntokenized } from "./prepare.js";
import { badField, type GenerationRequest } from "./schema.js";

/**
 * Characters that are encoded on this thread. They take up to some milliseconds, as a step of the model does; a way
 * to another thread and back costs about a tenth of one.
 */
const SHORT_CHARACTERS = 4096;

/**
 * The token ids of a request's prompts: at once for short ones, else by way of the thread for long ones. Throws
 * VitrineError `invalid_request`, `context_length_exceeded`, and where it took that way `queue_full`, `client_closed`,
 * `request_timeout`, `draining`, `internal`.
 */
export function tokenize(
  context: ServerContext,
  exchange: Exchange,
  request: GenerationRequest,
  contextLength: number,
): readonly Int32Array[] | Promise<readonly Int32Array[]> {
  const { prompts } = request;
  prompts.forEach((prompt, number) => {
    checkPrompt(context, prompt, paramOf(request, number));
  });
  const { longInputs } = context;
  const characters = prompts.reduce((sum, prompt) => sum + lengthOf(prompt), 0);
  if (longInputs === undefined || characters <= SHORT_CHARACTERS)
    return prompts.map((prompt) => encode(context, prompt));
  return new LongTokenizing(context, exchange, request).run(longInputs, contextLength - 1);
}

/** Tokenizing that takes time: the exchange is held meanwhile, and can end it. */
class LongTokenizing implements Abortable {
  readonly #controller = new AbortController();

  constructor(
    private readonly context: ServerContext,
    private readonly exchange: Exchange,
    private readonly request: GenerationRequest,
  ) {}

  async run(encoder: LongInputEncoder, mostTokens: number): Promise<readonly Int32Array[]> {
    const { context, exchange, request } = this;
    const release = exchange.hold(this);
    try {
      exchange.startDeadline();
      const all: Int32Array[] = [];
      // One after the other: the thread's queue is everybody's.
      for (const prompt of request.prompts) all.push(await this.#encode(encoder, prompt, mostTokens));
      return all;
    } catch (thrown) {
      traceUntokenized(context, exchange, request, toVitrineError(thrown));
      throw thrown;
    } finally {
      release();
    }
  }

  async #encode(encoder: LongInputEncoder, prompt: Prompt, mostTokens: number): Promise<Int32Array> {
    if (prompt.kind === "tokens") return Int32Array.from(prompt.ids);
    // The template may drop messages: what stays is known after rendering only.
    const least = prompt.kind === "text" ? this.context.tokenizer.leastTokens(prompt.text) : 0;
    if (least > mostTokens) throw tooLong(prompt.kind, mostTokens);
    return encoder.encode(prompt, mostTokens, this.#controller.signal);
  }

  abort(cause: CancelCause): void {
    this.#controller.abort(cancelError(cause, this.exchange.request.limit));
  }
}

function encode({ tokenizer, chatTemplate }: ServerContext, prompt: Prompt): Int32Array {
  if (prompt.kind === "tokens") return Int32Array.from(prompt.ids);
  if (prompt.kind === "text") return tokenizer.encode(prompt.text, { addSpecialTokens: true });
  return tokenizer.encode(chatTemplate?.render(prompt.messages, prompt.tools) ?? "", { addSpecialTokens: false });
}

function checkPrompt({ tokenizer, chatTemplate }: ServerContext, prompt: Prompt, param: string): void {
  if (prompt.kind === "messages" && chatTemplate === undefined) {
    throw badField("messages", "cannot be used, as this model has no chat template: send a prompt to /v1/completions");
  }
  if (prompt.kind !== "tokens") return;
  const bad = prompt.ids.findIndex((id) => id >= tokenizer.vocabSize);
  if (bad < 0) return;
  throw badField(`${param}[${bad}]`, `is not a token of this model: ids go from 0 to ${tokenizer.vocabSize - 1}`);
}

/** Characters that have to be encoded. */
function lengthOf(prompt: Prompt): number {
  if (prompt.kind === "tokens") return 0;
  if (prompt.kind === "text") return prompt.text.length;
  const tools = prompt.tools === undefined ? 0 : JSON.stringify(prompt.tools).length;
  return prompt.messages.reduce((sum, { content }) => sum + content.length, tools);
}
