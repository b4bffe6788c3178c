import type { Grammar } from "../../protocol.js";
import type { ChatTemplate } from "../../runtime/text/chat-template.js";
import { badField, type GenerationRequest } from "./schema.js";

/** What the output is held to; undefined: nothing. Throws VitrineError `invalid_request`. */
export function grammarOf(
  { format, tools }: GenerationRequest,
  template: ChatTemplate | undefined,
): Grammar | undefined {
  if (tools === undefined || template === undefined) return format;
  const { toolFormat } = template;
  if (toolFormat.marker === "" && format !== undefined) {
    throw badField(
      "response_format",
      "cannot go with tools here, as this model writes calls as plain JSON: leave one out",
    );
  }
  return {
    kind: "tool_calls",
    format: toolFormat,
    tools: tools.callable,
    parallel: tools.parallel,
    otherwise: tools.choice === "auto" ? (format ?? "text") : "nothing",
  };
}

/** The kind of format, for spans: never what it holds. */
export function formatKind({ format, tools }: GenerationRequest): string | undefined {
  if (tools !== undefined) return format === undefined ? "tools" : `tools+${format.kind}`;
  return format?.kind;
}
