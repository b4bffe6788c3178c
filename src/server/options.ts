import type { Logger } from "pino";
import type { EngineClient } from "../engine/client/client.js";
import type { Micros } from "../protocol.js";
import type { ChatTemplate } from "../runtime/text/chat-template.js";
import type { LongInputEncoder, Tokenizer } from "../runtime/text/tokenizer.js";
import type { Tracing } from "../tracing/contract.js";
import type { IdentityHasher } from "./caller.js";
import type { SamplingDefaults } from "./request/schema.js";

export interface ServerLimits {
  /** Requests running and waiting; one more is refused with `queue_full`. */
  readonly maxInFlight: number;
  /** Answers of one API key running and waiting; one more is refused with `key_limit_reached`. 0: no limit. */
  readonly maxPerKey: number;
  /** Longest life of a request, until its last byte has left. */
  readonly requestTimeoutMs: number;
}

/** Everything the HTTP service is made of. */
export interface ServerOptions {
  readonly engine: EngineClient;
  readonly tokenizer: Tokenizer;
  /** Undefined for a base model; chat is then refused. */
  readonly chatTemplate: ChatTemplate | undefined;
  /** Takes prompts whose encoding would hold up other requests; without one, everything is encoded at once. */
  readonly longInputs?: LongInputEncoder | undefined;
  readonly tracing: Tracing;
  readonly logger: Logger;
  /** The one id `model` may have. */
  readonly modelId: string;
  readonly version: string;
  readonly limits: ServerLimits;
  /** Cached prompts are shared among requests of one API key only, or among all. */
  readonly prefixSalt: "key" | "none";
  /** What a request's sampling fields are where it leaves them out; OpenAI's defaults where this has none. */
  readonly samplingDefaults?: SamplingDefaults;
  /** Ask the engine to tell of the steps of requests whose traces are recorded. */
  readonly recordSteps: boolean;
  /** For users and API keys, in spans and metrics. */
  readonly hashIdentity: IdentityHasher;
  /** Sources of time and chance, replaced under test. */
  readonly clock?: () => Micros;
  /** Milliseconds since 1970, for `created`. */
  readonly wallClock?: () => number;
  /** Unique, of letters and digits. */
  readonly newId?: () => string;
  /** The seed of a request that names none: a non-negative integer below 2^53. */
  readonly randomSeed?: () => number;
}
