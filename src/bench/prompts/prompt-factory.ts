import { seededRandom } from "../../../models/tiny/random.js";
import type { Api } from "../client/target.js";
import type { Lengths } from "../load/lengths.js";
import type { PromptFactory } from "../load/plan.js";
import type { CountText, PromptSource } from "./chat-plan.js";
import { grammarChats, grammarStories } from "./grammar.js";
import { promptsOf, readPrompts, readReplay } from "./prompt-file.js";
import { syntheticPrompts } from "./synthetic.js";

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

const countWords: CountText = (text) => text.split(/\s+/).filter((word) => word !== "").length;

/** Throws VitrineError `config_invalid` where a file cannot be used. */
export function promptFactory(choice: PromptChoice): PromptFactory {
  const { prompts, replay, countTokens } = choice;
  const inWords =
    countTokens === undefined ? ["Lengths of synthetic prompts are words: no --tokenizer was given."] : [];
  if (replay !== undefined) {
    const timed = readReplay(replay);
    const entries = timed.map(({ entry }) => entry);
    const notes = entries.some(({ kind }) => kind === "lengths") ? inWords : [];
    return {
      start: () => promptsOf(entries, (value) => filled(choice, value)),
      times: timed.map(({ at }) => at),
      notes,
    };
  }
  if (prompts === "synthetic") return { start: () => synthetic(choice, choice.lengths), notes: inWords };
  if (prompts === "grammar") {
    return { start: () => (choice.api === "chat" ? grammarChats(choice.turns) : grammarStories), notes: [] };
  }
  const entries = readPrompts(prompts);
  return { start: () => promptsOf(entries, (value) => filled(choice, value)), notes: [] };
}

const filled = (choice: PromptChoice, value: number): PromptSource => synthetic(choice, { kind: "fixed", value });

function synthetic({ turns, sharedPrefix, countTokens, seed }: PromptChoice, lengths: Lengths): PromptSource {
  return syntheticPrompts({ lengths, turns, sharedPrefix, count: countTokens ?? countWords }, seededRandom(seed));
}
