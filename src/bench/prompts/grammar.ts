/** Prompts that the shipped model was trained for: requests for stories, questions about them, sums. */
import { generateChat } from "../../../models/tiny/chat.js";
import { generateStory } from "../../../models/tiny/grammar.js";
import type { PromptSource } from "./chat-plan.js";

/** Conversations of the shipped grammar, with at most `turns` turns: what the user says in them, answered by the target. */
export function grammarChats(turns: number): PromptSource {
  return (random) => {
    const messages = generateChat(random);
    return {
      opening: messages.filter(({ role }) => role === "system"),
      turns: messages.flatMap(({ role, content }) => (role === "user" ? [content] : [])).slice(0, turns),
    };
  };
}

/** The first sentence of a story, for the target to go on with. */
export const grammarStories: PromptSource = (random) => {
  const { text } = generateStory(random);
  return { opening: [], turns: [text.slice(0, text.indexOf(".") + 1)] };
};
