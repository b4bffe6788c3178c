import { createHash } from "node:crypto";
import { join } from "node:path";
import { Template } from "@huggingface/jinja";
import { z } from "zod";
import { VitrineError } from "../../errors.js";
import type { ToolCallFormat } from "../../protocol.js";
import { readOptionalJson, readOptionalText, reasonOf } from "../files/json-file.js";
import type { ChatMessage, Tool, ToolCall } from "./chat-message.js";
import { readTokenizerConfig, specialToken } from "./tokenizer-config.js";
import { FALLBACK_FORMAT, learnToolFormat, withToolsAsText } from "./tool-format.js";

/** A model's chat template, rendered to a prompt. */
export interface ChatTemplate {
  /** How the model writes calls: its own way where its template shows one, else one that the prompt explains. */
  readonly toolFormat: ToolCallFormat;
  /** Throws VitrineError `invalid_request` when the template refuses the messages. */
  render(messages: readonly ChatMessage[], tools?: readonly Tool[]): string;
}

/**
 * The chat template of a model directory: chat_template.jinja, chat_template.json, or the field of
 * tokenizer_config.json (of several named ones `default`); undefined where there is none. Throws `model_invalid`.
 */
export function loadChatTemplate(directory: string): ChatTemplate | undefined {
  const config = readTokenizerConfig(directory);
  const source =
    readOptionalText(join(directory, "chat_template.jinja")) ??
    readOptionalJson(join(directory, "chat_template.json"), templateFile)?.chat_template ??
    defaultTemplate(config.chat_template);
  if (source === undefined) return undefined;
  const tokens = {
    bos_token: specialToken(config.bos_token) ?? "",
    eos_token: specialToken(config.eos_token) ?? "",
    unk_token: specialToken(config.unk_token) ?? "",
    pad_token: specialToken(config.pad_token) ?? "",
  };
  try {
    return new JinjaTemplate(source, tokens);
  } catch (cause) {
    const reason = reasonOf(cause);
    throw new VitrineError("model_invalid", `The chat template of ${directory} cannot be parsed: ${reason}`, { cause });
  }
}

const templateFile = z.looseObject({ chat_template: z.string() });

function defaultTemplate(
  field: string | readonly { readonly name: string; readonly template: string }[] | null | undefined,
): string | undefined {
  if (field == null || typeof field === "string") return field ?? undefined;
  return field.find(({ name }) => name === "default")?.template;
}

class JinjaTemplate implements ChatTemplate {
  readonly #template: Template;
  /** What probing the template found; undefined before that. */
  #learned: { readonly format: ToolCallFormat | undefined } | undefined;

  constructor(
    private readonly source: string,
    private readonly tokens: Readonly<Record<string, string>>,
  ) {
    this.#template = new Template(source);
  }

  get toolFormat(): ToolCallFormat {
    return this.#ownFormat ?? FALLBACK_FORMAT;
  }

  render(messages: readonly ChatMessage[], tools?: readonly Tool[]): string {
    // A conversation that only has results is the template's own to render.
    const withTools = tools !== undefined || messages.some(({ tool_calls: calls }) => calls !== undefined);
    try {
      if (!withTools) return this.#render(messages, null, true);
      if (this.#ownFormat === undefined) return this.#render(withToolsAsText(messages, tools), null, true);
      return this.#render(messages.map(forTemplate), tools ?? null, true);
    } catch (cause) {
      throw this.explain(cause);
    }
  }

  get #ownFormat(): ToolCallFormat | undefined {
    this.#learned ??= { format: learnToolFormat((...turns) => this.#render(...turns)) };
    return this.#learned.format;
  }

  #render(messages: readonly object[], tools: readonly Tool[] | null, generationPrompt: boolean): string {
    return this.#template.render({
      ...this.tokens,
      messages,
      add_generation_prompt: generationPrompt,
      // As Hugging Face's apply_chat_template passes them when nobody gave any.
      tools,
      documents: null,
    });
  }

  /**
   * `raise_exception`, or an expression that these messages do not suit. A template may build its reason from the
   * messages: only a reason that stands in the template itself is passed on.
   */
  private explain(cause: unknown): VitrineError {
    const reason = reasonOf(cause);
    const shown = reason !== "" && this.source.includes(reason) ? `: ${reason}` : ".";
    const message = `The model's chat template refuses these messages${shown}`;
    return new VitrineError("invalid_request", message, { param: "messages" });
  }
}

/** Templates take a call's arguments as an object, and some an id in Mistral's form alone. */
function forTemplate({ tool_calls: calls, tool_call_id: id, ...message }: ChatMessage): object {
  return {
    ...message,
    ...(id === undefined ? {} : { tool_call_id: shortId(id) }),
    ...(calls === undefined ? {} : { tool_calls: calls.map(callForTemplate) }),
  };
}

const callForTemplate = ({ id, type, function: { name, arguments: args } }: ToolCall): object => {
  return { id: shortId(id), type, function: { name, arguments: parsed(args) } };
};

/** Nine letters and digits, the same for the same id. */
function shortId(id: string): string {
  return /^[a-zA-Z0-9]{9}$/.test(id) ? id : createHash("sha256").update(id).digest("hex").slice(0, 9);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
