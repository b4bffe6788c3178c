import type { CancelCause } from "../protocol.js";
import { type EncodeInput, type LongInputEncoder, tooLong } from "../runtime/tokenizer.js";
import type { ServerContext } from "./context.js";
import { cancelError, toVitrineError } from "./error-response.js";
import type { Abortable, Exchange } from "./exchange.js";
import type { Prompt } from "./fields.js";
import { traceUntokenized } from "./prepare.js";
import { badField, type GenerationRequest } from "./schema.js";

/**
 * Characters that are encoded on this thread. They take up to some milliseconds, as a step of the model does; a way
 * to another thread and back costs about a tenth of one.
 */
const SHORT_CHARACTERS = 4096;

/**
 * A prompt's token ids: at once for a short one, else by way of the thread for long ones. Throws VitrineError
 * `invalid_request`, `context_length_exceeded`, and where it took that way `queue_full`, `client_closed`,
 * `request_timeout`, `draining`, `internal`.
 */
export function tokenize(
  context: ServerContext,
  exchange: Exchange,
  request: GenerationRequest,
  contextLength: number,
): Int32Array | Promise<Int32Array> {
  const { prompt } = request;
  if (prompt.kind === "tokens") return checkedIds(prompt.ids, context.tokenizer.vocabSize);
  if (prompt.kind === "messages" && context.chatTemplate === undefined) {
    throw badField("messages", "cannot be used, as this model has no chat template: send a prompt to /v1/completions");
  }
  const { longInputs } = context;
  if (longInputs === undefined || lengthOf(prompt) <= SHORT_CHARACTERS) return encode(context, prompt);
  return new LongTokenizing(context, exchange, request, prompt).run(longInputs, contextLength - 1);
}

/** Tokenizing that takes time: the exchange is held meanwhile, and can end it. */
class LongTokenizing implements Abortable {
  readonly #controller = new AbortController();

  constructor(
    private readonly context: ServerContext,
    private readonly exchange: Exchange,
    private readonly request: GenerationRequest,
    private readonly input: EncodeInput,
  ) {}

  async run(encoder: LongInputEncoder, mostTokens: number): Promise<Int32Array> {
    const { context, exchange, request, input } = this;
    const release = exchange.hold(this);
    try {
      exchange.endWithin(context.limits.requestTimeoutMs);
      // The template may drop messages: what stays is known after rendering only.
      const least = input.kind === "text" ? context.tokenizer.leastTokens(input.text) : 0;
      if (least > mostTokens) throw tooLong(input.kind, mostTokens);
      return await encoder.encode(input, mostTokens, this.#controller.signal);
    } catch (thrown) {
      traceUntokenized(context, exchange, request, toVitrineError(thrown));
      throw thrown;
    } finally {
      release();
    }
  }

  abort(cause: CancelCause): void {
    this.#controller.abort(cancelError(cause, this.context.limits.requestTimeoutMs));
  }
}

function encode({ tokenizer, chatTemplate }: ServerContext, input: EncodeInput): Int32Array {
  if (input.kind === "text") return tokenizer.encode(input.text, { addSpecialTokens: true });
  return tokenizer.encode(chatTemplate?.render(input.messages) ?? "", { addSpecialTokens: false });
}

function checkedIds(ids: readonly number[], vocabSize: number): Int32Array {
  const bad = ids.findIndex((id) => id >= vocabSize);
  if (bad < 0) return Int32Array.from(ids);
  throw badField(`prompt[${bad}]`, `is not a token of this model: ids go from 0 to ${vocabSize - 1}`);
}

function lengthOf(input: Exclude<Prompt, { kind: "tokens" }>): number {
  if (input.kind === "text") return input.text.length;
  return input.messages.reduce((sum, { content }) => sum + content.length, 0);
}
