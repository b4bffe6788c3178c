import { seededRandom } from "../../../models/tiny/random.js";
import type { Api } from "../client/target.js";
import type { Lengths } from "../load/lengths.js";
import type { PromptFactory } from "../load/plan.js";
import type { CountText, PromptSource } from "./chat-plan.js";
import { grammarChats, grammarStories } from "./grammar.js";
import { promptsOf, readPrompts, readReplay } from "./prompt-file.js";
import { syntheticPrompts } from "./synthetic.js";
import { TextMaker } from "./text-maker.js";

export interface PromptChoice {
  /** `synthetic`, `grammar` or a file. */
  readonly prompts: string;
  /** A file of prompts with the times they are due, instead. */
  readonly replay?: string;
  readonly api: Api;
  readonly lengths: Lengths;
  readonly turns: number;
  readonly sharedPrefix: number;
  /** Tokens of the target's tokenizer; words where there is none. */
  readonly countTokens?: CountText;
  readonly seed: number;
}

const IN_WORDS = "Lengths of synthetic prompts are words: no --tokenizer was given.";

const countWords: CountText = (text) => text.split(/\s+/).filter((word) => word !== "").length;

/** Throws VitrineError `config_invalid` where a file cannot be used. */
export function promptFactory(choice: PromptChoice): PromptFactory {
  const { prompts, replay, countTokens, turns, sharedPrefix, seed } = choice;
  const maker = new TextMaker(countTokens ?? countWords);
  const made = (lengths: Lengths): PromptSource =>
    syntheticPrompts({ lengths, turns, sharedPrefix, maker }, seededRandom(seed));
  const filled = (value: number): PromptSource => made({ kind: "fixed", value });
  const notes = countTokens === undefined ? [IN_WORDS] : [];
  if (replay !== undefined) {
    const timed = readReplay(replay);
    const entries = timed.map(({ entry }) => entry);
    const synthetic = entries.some(({ kind }) => kind === "lengths");
    const times = timed.map(({ at }) => at);
    return { start: () => promptsOf(entries, filled), times, notes: synthetic ? notes : [] };
  }
  if (prompts === "synthetic") return { start: () => made(choice.lengths), notes };
  if (prompts === "grammar") {
    return { start: () => (choice.api === "chat" ? grammarChats(turns) : grammarStories), notes: [] };
  }
  const entries = readPrompts(prompts);
  return {
    start: () => promptsOf(entries, filled),
    notes: entries.some(({ kind }) => kind === "lengths") ? notes : [],
  };
}
