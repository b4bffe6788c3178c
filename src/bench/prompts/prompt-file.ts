/** Prompts from a JSONL file, and arrivals from a recorded one. */
import { readFileSync } from "node:fs";
import { z } from "zod";
import { fileProblem, VitrineError } from "../../errors.js";
import type { ChatPlan, PromptSource } from "./chat-plan.js";

const message = z.object({ role: z.string(), content: z.string() });
const text = z.string().min(1, "expected a text that is not empty");
const limits = { max_tokens: z.int().min(1).optional() };
const line = z.union(
  [
    z.object({ prompt: text, ...limits }),
    z.object({ turns: z.array(text).min(1, "expected at least one turn"), system: text.optional(), ...limits }),
    z.object({ messages: z.array(message).min(1, "expected at least one message"), ...limits }),
    // As recorded traces without content have it.
    z.object({ input_length: z.int().min(1), output_length: z.int().min(1) }),
  ],
  { error: "expected one of prompt, turns, messages, or input_length with output_length" },
);
const stamp = z.object({ timestamp: z.number().min(0, "expected milliseconds since the beginning") });

/** What a line asks for: a plan, or lengths to make one of. */
export type FileEntry =
  | { readonly kind: "plan"; readonly plan: ChatPlan }
  | { readonly kind: "lengths"; readonly input: number; readonly output: number };

export interface TimedEntry {
  /** Milliseconds since the recording's first. */
  readonly at: number;
  readonly entry: FileEntry;
}

/** Throws VitrineError `config_invalid` that names the line at fault, and nothing of what it says. */
export function readPrompts(path: string): FileEntry[] {
  return readLines(path, (value) => entryOf(line.parse(value)));
}

/** The same file, where each line has its `timestamp`; in the order of time. */
export function readReplay(path: string): TimedEntry[] {
  const timed = readLines(path, (value) => ({ at: stamp.parse(value).timestamp, entry: entryOf(line.parse(value)) }));
  timed.sort((a, b) => a.at - b.at);
  const first = timed[0]?.at ?? 0;
  return timed.map(({ at, entry }) => ({ at: at - first, entry }));
}

/** The file's lines in turn, again from the first after the last. `filled` makes a prompt of a length. */
export function promptsOf(entries: readonly FileEntry[], filled: (length: number) => PromptSource): PromptSource {
  let next = 0;
  return (random) => {
    const entry = entries[next++ % entries.length] as FileEntry;
    return planOf(entry, filled)(random);
  };
}

function planOf(entry: FileEntry, filled: (length: number) => PromptSource): PromptSource {
  if (entry.kind === "plan") return () => entry.plan;
  return (random) => ({ ...filled(entry.input)(random), maxTokens: entry.output });
}

function entryOf(value: z.output<typeof line>): FileEntry {
  if ("input_length" in value) return { kind: "lengths", input: value.input_length, output: value.output_length };
  const maxTokens = value.max_tokens === undefined ? {} : { maxTokens: value.max_tokens };
  if ("prompt" in value) return { kind: "plan", plan: { opening: [], turns: [value.prompt], ...maxTokens } };
  if ("turns" in value) {
    const opening = value.system === undefined ? [] : [{ role: "system", content: value.system }];
    return { kind: "plan", plan: { opening, turns: value.turns, ...maxTokens } };
  }
  const last = value.messages.at(-1)?.content ?? "";
  return { kind: "plan", plan: { opening: value.messages.slice(0, -1), turns: [last], ...maxTokens } };
}

function readLines<T>(path: string, read: (value: unknown) => T): T[] {
  const invalid = (what: string): VitrineError =>
    new VitrineError("config_invalid", `${path}: ${what}.`, { param: path });
  let lines: string[];
  try {
    lines = readFileSync(path, "utf8").split("\n");
  } catch (error) {
    throw invalid(`cannot be read, ${fileProblem(error)}`);
  }
  const found = lines.flatMap((each, index) => {
    if (each.trim() === "") return [];
    try {
      return [read(JSON.parse(each))];
    } catch (error) {
      const why = error instanceof z.ZodError ? (error.issues[0]?.message ?? "invalid") : "not JSON";
      throw invalid(`line ${index + 1}: ${why}`);
    }
  });
  if (found.length === 0) throw invalid("has no lines");
  return found;
}
