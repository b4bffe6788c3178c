import { z } from "zod";
import type { JsonGrammar, ToolSignature } from "../../protocol.js";
import type { Tool } from "../../runtime/text/chat-message.js";

/** What the answer has to be; undefined: any text. */
export type OutputFormat = JsonGrammar | undefined;

/** The functions that the answer may call. */
export interface ToolUse {
  /** For the prompt. */
  readonly tools: readonly Tool[];
  /** Those it may call, and their schemas. */
  readonly callable: readonly ToolSignature[];
  readonly choice: "auto" | "required" | "named";
  readonly parallel: boolean;
}

const SHAPES = '{"type": "text"}, {"type": "json_object"} or {"type": "json_schema", "json_schema": {…}}';
const NAME = /^[\w-]{1,64}$/;
const name = z.string({ error: "must be a string" }).regex(NAME, { error: "must be 1 to 64 letters, digits, _ or -" });
const schemaObject = z.record(z.string(), z.unknown(), { error: "must be a JSON Schema: an object" });

const jsonSchema = z.object(
  { name, schema: schemaObject.default({}), strict: z.boolean({ error: "must be true or false" }).nullish() },
  { error: 'must be an object such as {"name": "answer", "schema": {…}}' },
);

const responseFormat = z
  .discriminatedUnion(
    "type",
    [
      z.object({ type: z.literal("text") }),
      z.object({ type: z.literal("json_object") }),
      z.object({ type: z.literal("json_schema"), json_schema: jsonSchema }),
    ],
    { error: `must be ${SHAPES}` },
  )
  .transform((format): OutputFormat => {
    if (format.type === "text") return undefined;
    if (format.type === "json_object") return { kind: "json_object" };
    return { kind: "json_schema", schema: JSON.stringify(format.json_schema.schema) };
  });

type OneTool = z.output<typeof tool>;

/** OpenAI's limit. */
const MOST_TOOLS = 128;

const tool = z.object(
  {
    type: z.literal("function", { error: 'must be "function"' }),
    function: z.object(
      {
        name,
        description: z.string({ error: "must be a string" }).nullish(),
        parameters: schemaObject.nullish(),
        strict: z.boolean({ error: "must be true or false" }).nullish(),
      },
      { error: "must be an object with a name and parameters" },
    ),
  },
  { error: 'must be an object such as {"type": "function", "function": {"name": "…", "parameters": {…}}}' },
);

const CHOICES = 'must be "none", "auto", "required" or {"type": "function", "function": {"name": "…"}}';

const toolChoice = z.union(
  [
    z.enum(["none", "auto", "required"]),
    z.object({ type: z.literal("function"), function: z.object({ name: z.string() }) }),
  ],
  { error: CHOICES },
);

/** Fields of /v1/chat/completions that say what the answer has to be. */
export const OUTPUT_FIELDS = {
  response_format: responseFormat.optional(),
  tools: z
    .array(tool, { error: "must be an array of tools" })
    .max(MOST_TOOLS, { error: `must hold at most ${MOST_TOOLS} tools` })
    .default([]),
  tool_choice: toolChoice.optional(),
  parallel_tool_calls: z.boolean({ error: "must be true or false" }).default(true),
};

type OutputData = z.output<z.ZodObject<typeof OUTPUT_FIELDS>>;

/** Throws where a schema cannot be held to; `name` is what the request calls it. */
type CheckSchema = (schema: string, name: string) => void;

/**
 * The tools in force; undefined when there are none to call. Throws what `bad` makes of a field and what it must be.
 * A tool that is expressly not `strict` and whose schema cannot be held to takes any object.
 */
export function toolUse(
  data: OutputData,
  bad: (field: string, message: string) => Error,
  check: CheckSchema,
): ToolUse | undefined {
  const { tools, tool_choice: choice = "auto", parallel_tool_calls: parallel } = data;
  if (tools.length === 0 && choice !== "none" && choice !== "auto") {
    throw bad("tool_choice", "goes with `tools`: send some, or leave this out");
  }
  const twice = tools.findIndex((one, i) => tools.findIndex((other) => other.function.name === one.function.name) < i);
  if (twice >= 0) throw bad(`tools[${twice}].function.name`, "is the name of an earlier tool, too");
  if (tools.length === 0 || choice === "none") return undefined;
  const named = typeof choice === "string" ? undefined : choice.function.name;
  const signatures = tools.map((one, i) => signatureOf(one, `tools[${i}].function.parameters`, check));
  const callable = signatures.filter((one) => named === undefined || one.name === named);
  if (callable.length === 0) throw bad("tool_choice.function.name", "must be the name of one of the `tools`");
  return {
    tools: tools.map((one): Tool => ({ type: "function", function: shown(one.function) })),
    callable,
    choice: named !== undefined ? "named" : choice === "required" ? "required" : "auto",
    parallel: parallel && named === undefined,
  };
}

const NO_PARAMETERS = { type: "object", properties: {}, additionalProperties: false };

function signatureOf(
  { function: { name, parameters, strict } }: OneTool,
  field: string,
  check: CheckSchema,
): ToolSignature {
  // Without parameters a function takes none.
  const schema = JSON.stringify(parameters == null ? NO_PARAMETERS : { type: "object", ...parameters });
  try {
    check(schema, field);
    return { name, parameters: schema };
  } catch (refusal) {
    if (strict === false) return { name, parameters: '{"type":"object"}' };
    throw refusal;
  }
}

function shown({ name, description, parameters }: OneTool["function"]): Tool["function"] {
  const described = description == null ? {} : { description };
  return { name, ...described, parameters: parameters ?? NO_PARAMETERS };
}

/** `tool_calls` of an assistant's message. */
export const toolCallsField = z
  .array(
    z.object(
      {
        id: z.string({ error: "must be a string" }),
        type: z.literal("function", { error: 'must be "function"' }).default("function"),
        function: z.object(
          {
            name: z.string({ error: "must be a string" }),
            arguments: z.string({ error: "must be JSON, as a string" }),
          },
          { error: "must be an object with a name and arguments" },
        ),
      },
      { error: "must be an object with id, type and function" },
    ),
    { error: "must be an array of tool calls" },
  )
  .nullish();
