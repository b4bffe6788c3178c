/** A field that this server has only one setting of. */
export interface UnsupportedField {
  readonly field: string;
  /** Whether the value asks for what happens anyway. */
  readonly harmless: (value: unknown) => boolean;
  /** Completes "`field` …". */
  readonly message: string;
}

const is =
  (...values: readonly unknown[]) =>
  (value: unknown): boolean =>
    values.includes(value);
const empty = (value: unknown): boolean =>
  typeof value === "object" && value !== null && Object.keys(value).length === 0;
const textOnly = (value: unknown): boolean => Array.isArray(value) && value.every((item) => item === "text");
const isText = (value: unknown): boolean =>
  typeof value === "object" && value !== null && "type" in value && value.type === "text";
const forChat = "is for `/v1/chat/completions`: send it there, or leave it out";
const leaveOut = "is not supported yet: leave it out";

export const UNSUPPORTED_COMPLETION: readonly UnsupportedField[] = [
  { field: "suffix", harmless: is(""), message: leaveOut },
  // Ignored, they would give plain text to somebody who reckons with JSON or a call.
  { field: "response_format", harmless: isText, message: forChat },
  { field: "tools", harmless: empty, message: forChat },
  { field: "tool_choice", harmless: is("none", "auto"), message: forChat },
];

export const UNSUPPORTED_CHAT: readonly UnsupportedField[] = [
  { field: "functions", harmless: empty, message: "is the old name of `tools`: send those" },
  { field: "function_call", harmless: is("none", "auto"), message: "is the old name of `tool_choice`: send that" },
  { field: "modalities", harmless: textOnly, message: 'must be ["text"]: this server answers in text only' },
  { field: "audio", harmless: is(), message: leaveOut },
  { field: "prediction", harmless: is(), message: leaveOut },
  { field: "web_search_options", harmless: is(), message: leaveOut },
];

/** The first field that asks for something this server cannot do. `null` was removed before: it means the default. */
export function findUnsupported(
  table: readonly UnsupportedField[],
  body: Readonly<Record<string, unknown>>,
): UnsupportedField | undefined {
  return table.find(({ field, harmless }) => field in body && !harmless(body[field]));
}
