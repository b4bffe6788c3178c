/**
 * Reads the JSONL that `evaluate.py` writes and says which share of it is right.
 *
 *   node check-stories.js samples.jsonl
 *
 * A line `{"group", "text"}` counts when the text parses as a story, a line `{"group", "text", "answer"}` when the text
 * is the answer.
 */
import { readFileSync } from "node:fs";
import { parseStory } from "./grammar.js";

interface Sample {
  readonly group: string;
  readonly text: string;
  readonly answer?: string;
}

const FAILURES_SHOWN = 5;

function failureOf(sample: Sample): string | undefined {
  if (sample.answer !== undefined) {
    return sample.text.trim() === sample.answer
      ? undefined
      : `said ${JSON.stringify(sample.text)}, not ${sample.answer}`;
  }
  const parsed = parseStory(sample.text);
  if (parsed.ok) return undefined;
  const before = sample.text.trim().slice(Math.max(0, parsed.at - 60), parsed.at);
  const after = sample.text.trim().slice(parsed.at, parsed.at + 30);
  return `at ${parsed.at}: …${before}⟂${after}… expected ${JSON.stringify(parsed.expected)}`;
}

const [path] = process.argv.slice(2);
if (path === undefined) throw new Error("usage: check-stories FILE.jsonl");
const lines = readFileSync(path, "utf8")
  .split("\n")
  .filter((line) => line !== "");
const groups = new Map<string, { count: number; failures: string[]; texts: Set<string> }>();
for (const line of lines) {
  const sample = JSON.parse(line) as Sample;
  const group = groups.get(sample.group) ?? { count: 0, failures: [], texts: new Set<string>() };
  groups.set(sample.group, group);
  group.count += 1;
  group.texts.add(sample.text);
  const failure = failureOf(sample);
  if (failure !== undefined) group.failures.push(failure);
}
for (const [name, { count, failures, texts }] of groups) {
  const right = count - failures.length;
  console.log(`${name}: ${right} of ${count} right (${((100 * right) / count).toFixed(1)} %), ${texts.size} different`);
  for (const failure of failures.slice(0, FAILURES_SHOWN)) console.log(`  ${failure}`);
}
