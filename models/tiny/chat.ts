/** Conversations for training and for checks: requests for stories, questions about them, sums and small talk. */

import type { Story } from "./grammar.js";
import { fill, generateStory, pick } from "./grammar.js";

export interface Message {
  readonly role: "system" | "user" | "assistant";
  readonly content: string;
}

export interface QuestionAnswer {
  readonly question: string;
  readonly answer: string;
}

interface QuestionRule {
  /** The slots that a story must bind for the question to have an answer. */
  readonly needs: readonly string[];
  readonly ask: readonly string[];
  readonly answer: string;
}

type Random = () => number;

const questions: readonly QuestionRule[] = [
  {
    needs: ["hero"],
    ask: ["Who is the story about?", "Who is the hero of the story?", "Who is this story about?"],
    answer: "The story is about {hero}.",
  },
  {
    needs: ["hero", "friend"],
    ask: ["Who is {hero}'s friend?", "Who is the friend of {hero}?", "What is the name of the friend?"],
    answer: "The friend of {hero} is {friend}.",
  },
  {
    needs: ["hero", "place"],
    ask: ["Where did {hero} go?", "Where was {hero}?", "Where does the story happen?"],
    answer: "{hero} went to {place}.",
  },
  {
    needs: ["thing"],
    ask: ["Which thing is in the story?", "What thing is in the story?"],
    answer: "There is a {thing} in the story.",
  },
  {
    needs: ["animal"],
    ask: ["Which animal is in the story?", "What animal is in the story?"],
    answer: "There is a {animal} in the story.",
  },
  {
    needs: ["hero", "goods", "sum"],
    ask: ["How many {goods} did {hero} have in the end?", "How many {goods} did {hero} have?"],
    answer: "{hero} had {sum} {goods}.",
  },
  {
    needs: ["hero", "goods", "left"],
    ask: ["How many {goods} did {hero} have left?", "How many {goods} were left?"],
    answer: "{hero} had {left} {goods} left.",
  },
  {
    needs: ["hero", "goods", "given"],
    ask: ["How many {goods} did {hero} give away?", "How many {goods} did {hero} give to the {animal}?"],
    answer: "{hero} gave away {given} {goods}.",
  },
];

/** Every question that the story answers, each with its one right answer. */
export function answersOf(story: Story): QuestionAnswer[] {
  return questions
    .filter((rule) => rule.needs.every((slot) => story.bound[slot] !== undefined))
    .flatMap((rule) =>
      rule.ask
        .filter((ask) => slotsOf(ask).every((slot) => story.bound[slot] !== undefined))
        .map((ask) => ({ question: fill(ask, story.bound), answer: fill(rule.answer, story.bound) })),
    );
}

const slotsOf = (template: string): string[] => [...template.matchAll(/\{([a-z]+)/g)].map((match) => match[1] ?? "");

const systems: readonly string[] = [
  "You are a storyteller.",
  "You are a helpful assistant.",
  "You tell short stories and answer questions about them.",
  "Answer in one short sentence.",
  "You are a kind storyteller for children.",
  "Be brief.",
];

const requests: readonly string[] = [
  "Tell me a story.",
  "Please tell me a short story.",
  "Write a short story.",
  "Can you tell me a story?",
  "Tell me a story about {hero}.",
  "Write a story about {hero}.",
  "Tell me a story about {hero} and {friend}.",
  "Tell me a story about {hero} and a {color} {thing}.",
  "Write a story about {hero} and a {animal}.",
  "Please tell me a story about {hero} at {place}.",
  "Can you tell me a story about a {hero.kind} named {hero}?",
  "Tell me a story about a {animal}.",
  "Write a story about a {color} {thing}.",
  "Tell me a story about {goods}.",
];

const readings: readonly string[] = [
  "Here is a story. {story}\n\n{question}",
  "Read this story and answer the question.\n\n{story}\n\n{question}",
  "{story}\n\n{question}",
  "{story} {question}",
  "Story: {story}\nQuestion: {question}",
];

const smallTalk: readonly (readonly [ask: readonly string[], answer: string])[] = [
  [["Hello!", "Hi!", "Hello", "Hi", "Hey!", "Good morning!", "Hello there!"], "Hello! Would you like to hear a story?"],
  [["Who are you?", "What are you?", "What is your name?"], "I am a tiny storyteller."],
  [
    ["What can you do?", "How can you help me?"],
    "I can tell short stories, answer questions about them and add small numbers.",
  ],
  [["How are you?", "How are you today?"], "I am happy. Would you like to hear a story?"],
];

const thanks: readonly string[] = ["Thank you!", "Thanks!", "That was a nice story.", "Thank you, bye!"];

const unknown: readonly string[] = [
  "What is the capital of France?",
  "Who wrote this book?",
  "How far is the moon?",
  "What is the weather today?",
  "Write a poem about love.",
  "Translate this to German.",
  "How do I bake bread?",
  "What year is it?",
  "Explain gravity.",
  "Who won the game?",
  "What is a computer?",
  "Why is the sky blue?",
  "Tell me a joke.",
  "What is the largest country?",
  "How old is the sun?",
  "Write a program.",
  "What is love?",
  "Give me a recipe.",
];
const doNotKnow = "I do not know that. I only know short stories and small numbers.";

const user = (content: string): Message => ({ role: "user", content });
const assistant = (content: string): Message => ({ role: "assistant", content });
const pair = (ask: string, answer: string): Message[] => [user(ask), assistant(answer)];

function requestFor(story: Story, random: Random): string {
  const fitting = requests.filter((request) => slotsOf(request).every((slot) => story.bound[slot] !== undefined));
  return fill(pick(fitting, random), story.bound);
}

/** The sum of two numbers up to ten. */
function sumTurn(random: Random): Message[] {
  const a = 1 + Math.floor(random() * 10);
  const b = 1 + Math.floor(random() * 10);
  const ask = pick([`What is ${a} + ${b}?`, `How much is ${a} + ${b}?`, `${a} + ${b} = ?`], random);
  return pair(ask, `${a} + ${b} = ${a + b}.`);
}

function smallTurn(random: Random): Message[] {
  if (random() < 0.25) return pair(pick(unknown, random), doNotKnow);
  const [ask, answer] = pick(smallTalk, random);
  return pair(pick(ask, random), answer);
}

/** One to three different questions about the story, as turns of a conversation. */
function questionTurns(story: Story, random: Random, most: number): Message[] {
  const left = answersOf(story);
  const turns: Message[] = [];
  for (let count = 1 + Math.floor(random() * most); count > 0 && left.length > 0; count -= 1) {
    const [asked] = left.splice(Math.floor(random() * left.length), 1);
    if (asked !== undefined) turns.push(...pair(asked.question, asked.answer));
  }
  return turns;
}

/** The user brings a story and asks about it. */
function readingTurns(random: Random): Message[] {
  const story = generateStory(random);
  const [first, ...rest] = questionTurns(story, random, 3);
  const shape = pick(readings, random);
  const content = shape.replace("{story}", () => story.text).replace("{question}", () => first?.content ?? "");
  return [user(content), ...rest];
}

/** The assistant tells a story and is asked about it. */
function tellingTurns(random: Random): Message[] {
  const story = generateStory(random);
  return [...pair(requestFor(story, random), story.text), ...(random() < 0.7 ? questionTurns(story, random, 3) : [])];
}

/** Writes one conversation; the same random numbers give the same one. */
export function generateChat(random: Random): Message[] {
  const messages: Message[] = random() < 0.35 ? [{ role: "system", content: pick(systems, random) }] : [];
  if (random() < 0.12) messages.push(...smallTurn(random));
  const kind = random();
  if (kind < 0.1) messages.push(...sumTurn(random), ...(random() < 0.5 ? sumTurn(random) : []));
  else if (kind < 0.55) messages.push(...readingTurns(random));
  else messages.push(...tellingTurns(random));
  if (random() < 0.08) messages.push(...sumTurn(random));
  if (random() < 0.08) messages.push(...smallTurn(random));
  if (random() < 0.08) messages.push(...pair(pick(thanks, random), "You are welcome!"));
  return messages;
}
