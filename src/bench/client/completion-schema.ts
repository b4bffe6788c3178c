/** The parts of OpenAI's answers that a benchmark reads; whatever else a target sends is passed over. */
import { z } from "zod";

const message = z.object({
  content: z.string().nullish(),
  reasoning_content: z.string().nullish(),
  tool_calls: z.array(z.unknown()).nullish(),
});
const choice = z.object({
  text: z.string().nullish(),
  delta: message.nullish(),
  message: message.nullish(),
  finish_reason: z.string().nullish(),
});
const answer = z.object({
  choices: z.array(choice).nullish(),
  usage: z.object({ prompt_tokens: z.number(), completion_tokens: z.number() }).nullish(),
  error: z.unknown().optional(),
});

export interface AnswerPart {
  /** Text of all choices together. */
  readonly text: string;
  /** Whether the model has said anything in it: text, reasoning or part of a tool call. */
  readonly said: boolean;
  readonly finishReason?: string;
  readonly usage?: { readonly promptTokens: number; readonly outputTokens: number };
  /** The code of an error that stands where an answer should. */
  readonly error?: string;
}

/** Reads a chunk of a stream or a whole answer; undefined where it is neither. */
export function readAnswer(json: string): AnswerPart | undefined {
  const parsed = answer.safeParse(parseJson(json));
  if (!parsed.success) return undefined;
  const { choices, usage, error } = parsed.data;
  if (error !== undefined && error !== null) return { text: "", said: false, error: codeOf(error) };
  let text = "";
  let said = false;
  let finishReason: string | undefined;
  for (const each of choices ?? []) {
    const part = each.delta ?? each.message;
    const words = each.text ?? part?.content ?? "";
    text += words;
    said ||= words !== "" || (part?.reasoning_content ?? "") !== "" || (part?.tool_calls?.length ?? 0) > 0;
    finishReason = each.finish_reason ?? finishReason;
  }
  return {
    text,
    said,
    ...(finishReason === undefined ? {} : { finishReason }),
    ...(usage ? { usage: { promptTokens: usage.prompt_tokens, outputTokens: usage.completion_tokens } } : {}),
  };
}

/** The code in the body of a failed request, where it has one. */
export function readErrorCode(body: string): string | undefined {
  const parsed = z.object({ error: z.unknown().optional() }).safeParse(parseJson(body));
  const code = parsed.success && parsed.data.error !== undefined ? codeOf(parsed.data.error) : "unknown";
  return code === "unknown" ? undefined : code;
}

const coded = z.object({
  code: z.union([z.string(), z.number()]).nullish(),
  type: z.string().nullish(),
});

/** A code is a word. Messages may quote the prompt, so none is kept, and neither is a code that looks like one. */
function codeOf(error: unknown): string {
  const parsed = coded.safeParse(error);
  const code = parsed.success ? String(parsed.data.code ?? parsed.data.type ?? "") : "";
  return /^[\w.-]{1,64}$/.test(code) ? code : "unknown";
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
