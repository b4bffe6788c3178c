import type { EngineRequest, RequestEvent } from "../../protocol.js";
import type { EngineClient } from "./client-contract.js";
import { RecentPrompts } from "./recent-prompts.js";

/** Many requests ask for all that fits and end long before: no answer counts for more tokens than this. */
const LONGEST_EXPECTED_ANSWER = 512;
/** Tokens of remembered prompts: 16 MiB. */
const TOKENS_REMEMBERED = 2 ** 22;

/** One engine of a fleet: what it has to do, and which prompts it took. */
export class FleetMember {
  /** Tokens of its running requests: their prompts, and what their answers are expected to have. */
  load = 0;
  readonly #recent: RecentPrompts;

  /** @param prompts most prompts to remember: as many as the engine has rows of cache to keep them in */
  constructor(
    readonly client: EngineClient,
    prompts: number,
  ) {
    this.#recent = new RecentPrompts({ prompts, tokens: TOKENS_REMEMBERED });
    // A new process begins with an empty cache.
    client.onState(({ kind }) => {
      if (kind !== "ready") this.#recent.clear();
    });
  }

  get ready(): boolean {
    return this.client.state.kind === "ready";
  }

  /** How much of the prompt its cache may hold, in tokens. */
  knows({ prompt, cacheSalt, promptLogprobs }: EngineRequest): number {
    // Whoever wants a score of each token has none of them from the cache.
    return promptLogprobs ? 0 : this.#recent.longestPrefix(prompt, cacheSalt);
  }

  submit(request: EngineRequest, onEvent: (event: RequestEvent) => void): void {
    const { prompt, cacheSalt, maxTokens } = request;
    const tokens = prompt.length + Math.min(maxTokens, LONGEST_EXPECTED_ANSWER);
    this.load += tokens;
    if (!request.promptLogprobs) this.#recent.add(prompt, cacheSalt);
    this.client.submit(request, (event) => {
      if (event.type === "ended") this.load -= tokens;
      onEvent(event);
    });
  }
}
