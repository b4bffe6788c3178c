import { setMaxListeners } from "node:events";
import { seededRandom } from "../../../models/tiny/random.js";
import type { PropagationFormat } from "../../tracing/context/propagation.js";
import type { Answer } from "../client/exchange.js";
import type { HttpClient } from "../client/http-client.js";
import { bodyOf, history, type RequestOptions } from "../client/target.js";
import type { BenchTracing } from "../client/tracing.js";
import type { ChatPlan, CountText, PromptSource } from "../prompts/chat-plan.js";
import type { RequestRecord } from "../result.js";
import type { Budget } from "./budget.js";
import type { BenchClock } from "./clock.js";
import { drawLength, type Lengths } from "./lengths.js";
import type { ChatEnd, Work } from "./loops.js";
import { type Random, seedOf } from "./random.js";

/** What holds for every request of a run. */
export interface PlayOptions {
  readonly request: RequestOptions;
  readonly maxTokens: Lengths;
  readonly thinkTimeMs: number;
  /** Share of requests that are left within `cancelAfterMs`, at a moment drawn evenly. */
  readonly cancelRate: number;
  readonly cancelAfterMs: number;
  /** Of a target that reports no usage. */
  readonly countText?: CountText;
  readonly apiKey?: string;
  /** Trace headers; none where empty. */
  readonly propagation: readonly PropagationFormat[];
}

/** What holds for one repeat of one load. */
export interface PlayScene {
  readonly clock: BenchClock;
  readonly client: HttpClient;
  readonly tracing: BenchTracing;
  readonly source: PromptSource;
  readonly seed: number;
  readonly budget: Budget;
  readonly signal: AbortSignal;
  /** Path of the route, for spans. */
  readonly path: string;
  readonly load: string;
  readonly repeat: number;
  readonly onSend: () => void;
  /** `lateMs` is what the harness itself was late. */
  readonly onRecord: (record: RequestRecord, lateMs: number) => void;
}

/** Plays chats against the target and records every request. */
export class ChatPlayer implements Work {
  readonly #headers: Readonly<Record<string, string>>;
  #chats = 0;

  constructor(
    private readonly options: PlayOptions,
    private readonly scene: PlayScene,
  ) {
    this.#headers = requestHeaders(options.apiKey);
    // One for each request that is under way.
    setMaxListeners(0, scene.signal);
  }

  async play(intended: number, ready: number): Promise<ChatEnd> {
    const { scene, options } = this;
    // Each chat has random numbers of its own, so that it is the same however the answers of others come in.
    const random = seededRandom(seedOf(scene.seed, this.#chats++));
    const plan = scene.source(random);
    const answers: string[] = [];
    let end: ChatEnd = { at: intended, unreachable: false };
    for (const turn of plan.turns.keys()) {
      const due = turn === 0 ? intended : end.at + options.thinkTimeMs;
      if (turn > 0 && !scene.budget.take(due)) break;
      await scene.clock.until(due, scene.signal);
      if (scene.signal.aborted) break;
      const answer = await this.#ask(plan, answers, random, due, turn === 0 ? ready : due);
      const { outcome, status, reader } = answer;
      end = { at: answer.end, unreachable: outcome.kind === "broken" && status === undefined };
      if (outcome.kind !== "ok") break;
      answers.push(reader.text);
    }
    return end;
  }

  async #ask(plan: ChatPlan, answers: readonly string[], random: Random, due: number, ready: number): Promise<Answer> {
    const { scene, options } = this;
    const maxTokens = plan.maxTokens ?? drawLength(options.maxTokens, random);
    const body = bodyOf(options.request, history(plan, answers), plan.turns[answers.length] ?? "", maxTokens);
    const cancelled = options.cancelRate > 0 && random() < options.cancelRate;
    const span = scene.tracing.request(
      { path: scene.path, model: options.request.model, load: scene.load, repeat: scene.repeat, intended: due },
      options.propagation,
    );
    scene.onSend();
    const answer = await scene.client.send({
      body,
      headers: { ...this.#headers, ...span.headers },
      signal: scene.signal,
      ...(cancelled ? { cancelAfterMs: random() * options.cancelAfterMs } : {}),
    });
    span.end(answer);
    const traceId = options.propagation.length === 0 ? undefined : span.traceId;
    scene.onRecord(recordOf(answer, due, scene.repeat, traceId, options.countText), Math.max(0, answer.sent - ready));
    return answer;
  }
}

export const requestHeaders = (apiKey: string | undefined): Record<string, string> => ({
  "content-type": "application/json",
  ...(apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` }),
});

function recordOf(
  { sent, end, outcome, reader }: Answer,
  intended: number,
  repeat: number,
  traceId: string | undefined,
  countText: CountText | undefined,
): RequestRecord {
  const { firstToken, gaps, promptTokens, chunks } = reader;
  // Whoever reports no usage is counted by the tokenizer, and without one by its chunks.
  const counted = outcome.kind === "ok" ? (countText?.(reader.text) ?? chunks) : undefined;
  const outputTokens = reader.outputTokens ?? counted;
  return {
    ...(traceId === undefined ? {} : { traceId }),
    repeat,
    intended: micros(intended),
    sent: micros(sent),
    ...(firstToken === undefined ? {} : { firstToken: micros(firstToken) }),
    end: micros(end),
    gaps: gaps.map(micros),
    ...(promptTokens === undefined ? {} : { promptTokens }),
    ...(outputTokens === undefined ? {} : { outputTokens }),
    outcome,
  };
}

/** Milliseconds to the microsecond; more digits would only fill the document. */
const micros = (ms: number): number => Math.round(ms * 1e3) / 1e3;
