/**
 * Writes and parses stories by walking the rules of `rules.ts`.
 *
 * The generator picks an alternative and a value wherever the parser tries all of them, so the two cannot disagree
 * about what a well-formed story is.
 */

import type { Bindings, Forms } from "./rules.js";
import { rules, slots } from "./rules.js";

export interface Story {
  readonly text: string;
  /** The values the story binds: hero, friend, place and, depending on the plot, thing, color, animal, sums. */
  readonly bound: Bindings;
}

export type ParseResult =
  | { readonly ok: true; readonly story: Story }
  | { readonly ok: false; readonly at: number; readonly expected: string };

type Part =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "rule"; readonly name: string }
  | { readonly kind: "slot"; readonly name: string; readonly form: string };

const MIN_WORDS = 60;
const MAX_WORDS = 150;

function partOf(piece: string): Part {
  if (!piece.startsWith("{")) return { kind: "text", text: piece };
  if (piece.startsWith("{#")) return { kind: "rule", name: piece.slice(2, -1) };
  const [name = "", form = "name"] = piece.slice(1, -1).split(".");
  return { kind: "slot", name, form };
}

const split = (template: string): Part[] =>
  template
    .split(/(\{[^}]*\})/)
    .filter((piece) => piece !== "")
    .map(partOf);

const compiled: ReadonlyMap<string, readonly (readonly Part[])[]> = new Map(
  Object.entries(rules).map(([name, alternatives]) => [name, alternatives.map(split)]),
);

function alternativesOf(rule: string): readonly (readonly Part[])[] {
  const found = compiled.get(rule);
  if (found === undefined) throw new Error(`no such rule: ${rule}`);
  return found;
}

/** The values that a slot may take now: the bound one, or all that are allowed beside the bound ones. */
function candidates(name: string, bound: Bindings): readonly Forms[] {
  const value = bound[name];
  if (value !== undefined) return [value];
  const slot = slots[name];
  if (slot === undefined) throw new Error(`no such slot: ${name}`);
  const { allow } = slot;
  return allow === undefined ? slot.from : slot.from.filter((each) => allow(each, bound));
}

function formOf(value: Forms, form: string): string {
  const text = value[form];
  if (text === undefined) throw new Error(`no form ${form} of ${value.name ?? "?"}`);
  return text;
}

export function pick<T>(from: readonly T[], random: () => number): T {
  const value = from[Math.floor(random() * from.length)];
  if (value === undefined) throw new Error("nothing to pick from");
  return value;
}

/** Writes a template with every slot bound already; throws where one is not. */
export function fill(template: string, bound: Bindings): string {
  return split(template)
    .map((part) => {
      if (part.kind === "text") return part.text;
      const value = bound[part.name];
      if (value === undefined) throw new Error(`slot not bound: ${part.name}`);
      return formOf(value, part.kind === "slot" ? part.form : "name");
    })
    .join("");
}

/** Writes one story, whatever its length. */
function writeStory(random: () => number): Story {
  let bound: Bindings = {};
  const write = (part: Part): string => {
    if (part.kind === "text") return part.text;
    if (part.kind === "rule") return pick(alternativesOf(part.name), random).map(write).join("");
    const value = pick(candidates(part.name, bound), random);
    bound = { ...bound, [part.name]: value };
    return formOf(value, part.form);
  };
  return { text: write({ kind: "rule", name: "story" }), bound };
}

const countWords = (text: string): number => text.split(/\s+/).filter((word) => word !== "").length;

/** Writes one story of 60 to 150 words. The same random numbers give the same story. */
export function generateStory(random: () => number): Story {
  for (;;) {
    const story = writeStory(random);
    const words = countWords(story.text);
    if (words >= MIN_WORDS && words <= MAX_WORDS) return story;
  }
}

type Next = (at: number, bound: Bindings) => Bindings | undefined;

/** Backtracking parser; remembers the furthest place that it could not get past, which is what a failure reports. */
class Parser {
  at = 0;
  expected = "";

  constructor(private readonly text: string) {}

  sequence(parts: readonly Part[], index: number, at: number, bound: Bindings, next: Next): Bindings | undefined {
    const part = parts[index];
    if (part === undefined) return next(at, bound);
    const rest: Next = (after, now) => this.sequence(parts, index + 1, after, now, next);
    if (part.kind === "text") return this.literal(part.text, at) ? rest(at + part.text.length, bound) : undefined;
    if (part.kind === "slot") return this.slot(part.name, part.form, at, bound, rest);
    for (const alternative of alternativesOf(part.name)) {
      const found = this.sequence(alternative, 0, at, bound, rest);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  end(at: number): boolean {
    if (at === this.text.length) return true;
    this.fail(at, "the end of the story");
    return false;
  }

  private slot(name: string, form: string, at: number, bound: Bindings, next: Next): Bindings | undefined {
    for (const value of candidates(name, bound)) {
      const word = value[form];
      if (word === undefined || !this.literal(word, at)) continue;
      const found = next(at + word.length, { ...bound, [name]: value });
      if (found !== undefined) return found;
    }
    return undefined;
  }

  private literal(word: string, at: number): boolean {
    if (this.text.startsWith(word, at)) return true;
    let same = 0;
    while (same < word.length && this.text[at + same] === word[same]) same += 1;
    this.fail(at + same, word);
    return false;
  }

  private fail(at: number, expected: string): void {
    if (at < this.at || (at === this.at && this.expected !== "")) return;
    this.at = at;
    this.expected = expected;
  }
}

/** Tells whether a text is one whole, consistent story; white space around it does not matter. */
export function parseStory(text: string): ParseResult {
  const story = text.trim();
  const parser = new Parser(story);
  const accept: Next = (at, bound) => (parser.end(at) ? bound : undefined);
  const bound = parser.sequence([{ kind: "rule", name: "story" }], 0, 0, {}, accept);
  if (bound === undefined) return { ok: false, at: parser.at, expected: parser.expected };
  return { ok: true, story: { text: story, bound } };
}
