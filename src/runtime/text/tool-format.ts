import type { ToolCallFormat } from "../../protocol.js";
import type { ChatMessage, Tool } from "./chat-message.js";

/** Renders messages with a model's own template; throws where the template refuses them. */
export type Render = (messages: readonly object[], tools: readonly Tool[] | null, generationPrompt: boolean) => string;

/** What a probe is looked for by: nothing that a template writes of itself. */
const NAMES = ["vitrine_probe_one", "vitrine_probe_two"] as const;
const ARGUMENT = "vitrine_argument";
const CONTENT = "vitrine content";
/** Nine letters and digits, as Mistral's templates demand. */
const ID = "v1tr1ne00";
const QUESTION = { role: "user", content: "vitrine question" };

/**
 * How a model writes tool calls, found out from its chat template: a turn with calls is rendered beside one with text,
 * and what differs is the calls' format. Undefined where the template does not show tools or calls, or calls in
 * another way than a name and JSON.
 */
export function learnToolFormat(render: Render): ToolCallFormat | undefined {
  const tools = [probeTool(NAMES[0]), probeTool(NAMES[1])];
  const turn = (message: object): string => render([QUESTION, { role: "assistant", ...message }], tools, false);
  try {
    if (!render([QUESTION], tools, true).includes(ARGUMENT)) return undefined;
    const text = turn({ content: CONTENT });
    const single = callsIn(turn(calling(NAMES[0])), text);
    const [before, middle, close] = split(single, [NAMES[0], argumentsOf(single)]) ?? [];
    if (before === undefined || middle === undefined || close === undefined) return undefined;
    const open = before.trimStart();
    return { open, marker: markerOf(open), middle, between: learnBetween(turn, text, middle, close), close };
  } catch {
    return undefined;
  }
}

const probeTool = (name: string): Tool => ({
  type: "function",
  function: {
    name,
    description: "",
    parameters: { type: "object", properties: { [ARGUMENT]: { type: "string" } } },
  },
});

const calling = (...names: readonly string[]): object => ({
  content: "",
  tool_calls: names.map((name) => ({ id: ID, type: "function", function: { name, arguments: { [ARGUMENT]: name } } })),
});

/** What stands between two calls; undefined where the template takes one call a turn. */
function learnBetween(
  turn: (message: object) => string,
  text: string,
  middle: string,
  close: string,
): string | undefined {
  try {
    const pair = callsIn(turn(calling(...NAMES)), text);
    const first = argumentsOf(pair);
    const [, itsMiddle, between, otherMiddle, last] =
      split(pair, [NAMES[0], first, NAMES[1], first.replace(...NAMES)]) ?? [];
    return itsMiddle === middle && otherMiddle === middle && last === close ? between : undefined;
  } catch {
    return undefined;
  }
}

/** The part of a turn with calls that one with text does not have; ids are the server's to give. */
function callsIn(turn: string, text: string): string {
  const at = text.indexOf(CONTENT);
  const [before, after] = [text.slice(0, at), text.slice(at + CONTENT.length)];
  let start = 0;
  while (start < before.length && turn[start] === before[start]) start++;
  let end = 0;
  while (end < after.length && end < turn.length - start && turn.at(-1 - end) === after.at(-1 - end)) end++;
  return turn.slice(start, turn.length - end).replaceAll(new RegExp(`,\\s*"id":\\s*"${ID}"`, "g"), "");
}

/** The first call's arguments as the template writes JSON. */
function argumentsOf(calls: string): string {
  return new RegExp(`\\{\\s*"${ARGUMENT}":\\s*"${NAMES[0]}"\\s*\\}`).exec(calls)?.[0] ?? "\0";
}

/** What stands before, between and after the parts; undefined where one is missing. */
function split(text: string, parts: readonly string[]): readonly string[] | undefined {
  const found: string[] = [];
  let at = 0;
  for (const part of parts) {
    const next = text.indexOf(part, at);
    if (next < 0) return undefined;
    found.push(text.slice(at, next));
    at = next + part.length;
  }
  return [...found, text.slice(at)];
}

/** The name of a tag or token that opens a call; an opening of JSON alone could be any JSON. */
function markerOf(open: string): string {
  return /^[<[]\|?[\w./-]+(?:\|?[>\]])/.exec(open)?.[0] ?? "";
}

/** For models whose template knows no tools: the format that most models were trained on. */
export const FALLBACK_FORMAT: ToolCallFormat = {
  open: '<tool_call>\n{"name": "',
  marker: "<tool_call>",
  middle: '", "arguments": ',
  between: '}\n</tool_call>\n<tool_call>\n{"name": "',
  close: "}\n</tool_call>",
};

/** The same conversation for such a template: tools in a system message, calls and their results as text. */
export function withToolsAsText(
  messages: readonly ChatMessage[],
  tools: readonly Tool[] | undefined,
): readonly ChatMessage[] {
  const plain = messages.map((message): ChatMessage => {
    if (message.role === "tool") {
      return { role: "user", content: `<tool_response>\n${message.content}\n</tool_response>` };
    }
    if (message.tool_calls === undefined) return message;
    const calls = message.tool_calls.map(({ function: { name, arguments: args } }) => {
      return `<tool_call>\n{"name": ${JSON.stringify(name)}, "arguments": ${args}}\n</tool_call>`;
    });
    return { role: message.role, content: [message.content, ...calls].filter((part) => part !== "").join("\n") };
  });
  if (tools === undefined) return plain;
  const [first, ...rest] = plain;
  const instructions = toolInstructions(tools);
  if (first?.role !== "system") return [{ role: "system", content: instructions }, ...plain];
  return [{ role: "system", content: `${first.content}\n\n${instructions}` }, ...rest];
}

function toolInstructions(tools: readonly Tool[]): string {
  return [
    "You can call these functions, given as JSON Schema, one a line:",
    ...tools.map((tool) => JSON.stringify(tool.function)),
    "To call one, answer with its name and arguments as JSON, in this form:",
    '<tool_call>\n{"name": "the name", "arguments": {}}\n</tool_call>',
    "What it returned comes back between <tool_response> and </tool_response>.",
  ].join("\n");
}
