import { join } from "node:path";
import { Template } from "@huggingface/jinja";
import { z } from "zod";
import { VitrineError } from "../errors.js";
import { readOptionalJson, readOptionalText, reasonOf } from "./json-file.js";
import { readTokenizerConfig, specialToken } from "./tokenizer-config.js";

export interface ChatMessage {
  readonly role: string;
  readonly content: string;
}

/** A model's chat template, rendered to a prompt. */
export interface ChatTemplate {
  /** Throws VitrineError `invalid_request` when the template refuses the messages. */
  render(messages: readonly ChatMessage[]): string;
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
  private readonly template: Template;

  constructor(
    private readonly source: string,
    private readonly tokens: Readonly<Record<string, string>>,
  ) {
    this.template = new Template(source);
  }

  render(messages: readonly ChatMessage[]): string {
    try {
      return this.template.render({
        ...this.tokens,
        messages,
        add_generation_prompt: true,
        // As Hugging Face's apply_chat_template passes them when nobody gave any.
        tools: null,
        documents: null,
      });
    } catch (cause) {
      throw this.explain(cause);
    }
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
