import type { z } from "zod";

type Issue = z.core.$ZodIssue;

const WORDS: Readonly<Record<string, string>> = {
  string: "text",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  object: "an object",
  record: "an object",
  array: "a list",
};

/** What a JSON file has at one place, and what is wanted there, in words. */
export interface JsonMistake {
  /** `rope_scaling.factor`; empty at the top level. */
  readonly field: string;
  readonly wanted: string;
  /** Numbers as they are; of a text only that it is one, for it may be a chat template. */
  readonly found: string;
}

/** A schema's complaint about `json`, without its library's own words. */
export function describeIssue(issue: Issue, json: unknown): JsonMistake {
  const { path, wanted } = nearest(issue);
  return { field: path.join("."), wanted, found: wordOf(valueAt(json, path)) };
}

/** Of a choice, the alternative that went furthest into the file is what was meant. */
function nearest(issue: Issue): { readonly path: readonly PropertyKey[]; readonly wanted: string } {
  if (issue.code !== "invalid_union") return { path: issue.path, wanted: wantedBy(issue) };
  const firsts = issue.errors.flatMap(([first]) => (first === undefined ? [] : [nearest(first)]));
  const deepest = Math.max(...firsts.map(({ path }) => path.length));
  const wanted = [...new Set(firsts.filter(({ path }) => path.length === deepest).map((one) => one.wanted))];
  const path = firsts.find((one) => one.path.length === deepest)?.path ?? [];
  return { path: [...issue.path, ...path], wanted: wanted.join(" or ") };
}

function wantedBy(issue: Issue): string {
  switch (issue.code) {
    case "invalid_type":
      return WORDS[issue.expected] ?? issue.expected;
    case "too_small":
      return issue.inclusive === false ? `above ${issue.minimum}` : `${issue.minimum} or more`;
    case "too_big":
      return issue.inclusive === false ? `below ${issue.maximum}` : `${issue.maximum} or less`;
    default:
      return "something else";
  }
}

function valueAt(json: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce((value: unknown, key) => (value as Record<PropertyKey, unknown> | null | undefined)?.[key], json);
}

function wordOf(value: unknown): string {
  if (value === undefined) return "missing";
  if (value === null || typeof value === "number" || typeof value === "boolean") return String(value);
  if (typeof value === "string") return "text";
  return Array.isArray(value) ? "a list" : "an object";
}
