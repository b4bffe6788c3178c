/**
 * Writes the training text as JSONL, one document a line: `{"text": story}` or `{"messages": [...]}`.
 *
 *   node make-corpus.js [documents=80000] [seed=1] > corpus.jsonl
 *   node make-corpus.js words > words.txt
 *   node make-corpus.js questions [count=50] [seed=7] > questions.jsonl
 */
import { answersOf, generateChat } from "./chat.js";
import { generateStory, pick } from "./grammar.js";
import { seededRandom } from "./random.js";
import { slots } from "./rules.js";

const PLAIN_SHARE = 0.45;

function* documents(count: number, random: () => number): Generator<string> {
  for (let index = 0; index < count; index += 1) {
    const plain = random() < PLAIN_SHARE;
    yield JSON.stringify(plain ? { text: generateStory(random).text } : { messages: generateChat(random) });
  }
}

/** Stories that training has not seen, each with one question and its right answer. */
function* questions(count: number, random: () => number): Generator<string> {
  for (let index = 0; index < count; index += 1) {
    const story = generateStory(random);
    const { question, answer } = pick(answersOf(story), random);
    yield JSON.stringify({ messages: [{ role: "user", content: `${story.text}\n\n${question}` }], answer });
  }
}

/** The words that slots take, which are what a story has to remember; `train.py --words` gives them more weight. */
function slotWords(): string[] {
  const values = Object.values(slots).flatMap(({ from }) => from);
  const words = values.flatMap(({ name = "", digits = name }) => [name.replace("the ", ""), digits]);
  return [...new Set(words)].filter((word) => !word.includes(" "));
}

const [first = "80000", ...rest] = process.argv.slice(2);

function linesFor(what: string): Iterable<string> {
  if (what === "words") return slotWords();
  if (what === "questions") return questions(Number(rest[0] ?? 50), seededRandom(Number(rest[1] ?? 7)));
  return documents(Number(what), seededRandom(Number(rest[0] ?? 1)));
}

let block: string[] = [];
for (const line of linesFor(first)) {
  block.push(line);
  if (block.length < 1000) continue;
  process.stdout.write(`${block.join("\n")}\n`);
  block = [];
}
if (block.length > 0) process.stdout.write(`${block.join("\n")}\n`);
