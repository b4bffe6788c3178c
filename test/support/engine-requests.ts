import type {
  CacheGrowth,
  EngineEvent,
  EngineRequest,
  RequestEvent,
  RequestId,
  SamplingParams,
} from "../../src/protocol.js";

export const GREEDY: SamplingParams = {
  temperature: 0,
  topP: 1,
  topK: 0,
  minP: 0,
  typicalP: 1,
  logitBias: [],
  minTokens: 0,
  repetitionPenalty: 1,
  presencePenalty: 0,
  frequencyPenalty: 0,
  seed: 0,
};

/** A small greedy request; pass what matters to the test. */
export function engineRequest(fields: Partial<EngineRequest> & { readonly id: RequestId }): EngineRequest {
  return {
    prompt: Int32Array.of(1, 2, 3),
    maxTokens: 4,
    stopTokenIds: [],
    sampling: GREEDY,
    submittedAt: 0,
    recordSteps: false,
    priority: 0,
    cacheSalt: "",
    ...fields,
  };
}

export function isRequestEvent(event: EngineEvent): event is RequestEvent {
  return "id" in event;
}

/**
 * Events of one request in the words of the protocol: `admitted`, `token 4`, `finished length`, `failed engine_lost`. Without
 * the cache's growth, which may come at any time.
 */
export function story(events: readonly EngineEvent[], id: RequestId): string[] {
  const own = events.filter(isRequestEvent).filter((event) => event.id === id && event.type !== "cache_growth");
  return own.map(inWords);
}

/** All that was told of the cache's growth, in order. */
export function growthsOf(events: readonly EngineEvent[]): CacheGrowth[] {
  return events.flatMap((event) => {
    if (event.type === "cache_growth") return [event.growth];
    return event.type === "admitted" ? (event.allocation.growth ?? []) : [];
  });
}

function inWords(event: RequestEvent): string {
  if (event.type === "token") return `token ${event.token}`;
  if (event.type !== "ended") return event.type;
  const { outcome } = event;
  switch (outcome.kind) {
    case "finished":
      return `finished ${outcome.reason}`;
    case "cancelled":
      return `cancelled ${outcome.cause}`;
    case "failed":
      return `failed ${outcome.error.code}`;
  }
}

/** Tokens of one request's output. */
export function tokensOf(events: readonly EngineEvent[], id: RequestId): number[] {
  return events.flatMap((event) => (event.type === "token" && event.id === id ? [event.token] : []));
}
