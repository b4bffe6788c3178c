/**
 * What a benchmark leaves behind: one JSON document, which `--json` writes and which the table, the report, `compare` and
 * `plan` read. Times are milliseconds since the run began, durations milliseconds, unless the name says otherwise.
 */
export const RESULT_VERSION = 1;

export interface BenchResult {
  readonly version: typeof RESULT_VERSION;
  /** As it was typed, without the API key. */
  readonly command: string;
  /** ISO 8601. */
  readonly startedAt: string;
  readonly machine: Machine;
  /** What measured. */
  readonly commit?: string;
  /** Value of `bench.run_id` of every span of this run. */
  readonly runId?: string;
  readonly target: Target;
  /** Where the traces went, if anywhere. */
  readonly zipkinEndpoint?: string;
  readonly slos: readonly Slo[];
  /** One for each load of a sweep, and each variant of an A/B run. */
  readonly points: readonly LoadPoint[];
  readonly comparison?: readonly VariantRatio[];
}

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly platform: string;
  readonly node: string;
}

export interface Target {
  readonly url: string;
  readonly model: string;
  /** What the target says it is (its `server` header or `/version`), where it says. */
  readonly server?: string;
}

/** `ttft:200ms`: a request is good when its value is at most the limit. */
export interface Slo {
  readonly metric: LatencyName;
  readonly limitMs: number;
}

export type LatencyName = "ttft" | "tpot" | "itl" | "e2e" | "queue";

export interface LoadPoint {
  /** Unique within a result: `concurrency 4`, `rate 10/s, tracing=on`. */
  readonly name: string;
  /** Of an A/B run. */
  readonly variant?: string;
  readonly load: Load;
  readonly durationMs: number;
  readonly requests: readonly RequestRecord[];
  readonly summary: Summary;
  /** Of the traces read back, where they were. */
  readonly traces?: TraceSummary;
  /** Why there are none, where they were wanted, in one sentence. */
  readonly tracesUnavailable?: string;
  /** How well the harness itself kept up. */
  readonly client?: ClientHealth;
  /** What a reader has to know of these numbers, a sentence each. */
  readonly warnings?: readonly string[];
}

export type Load =
  | { readonly kind: "closed"; readonly concurrency: number }
  | {
      readonly kind: "open";
      readonly arrivals: "constant" | "gamma" | "ramp";
      /** Chats that begin a second; of a ramp, at its end. */
      readonly perSecond: number;
      /** Of a ramp, at its beginning. */
      readonly fromPerSecond?: number;
      /** Shape of the gamma distribution of the gaps: 1 is Poisson, smaller has more bursts. Absent where they are even. */
      readonly burstiness?: number;
    }
  | { readonly kind: "replay"; readonly file: string };

/** The load generator's own part, in milliseconds. */
export interface ClientHealth {
  /** How late requests were sent that nothing held back: 99th percentile and most. */
  readonly latenessP99: number;
  readonly latenessMax: number;
  /** How long its event loop was held up. */
  readonly loopDelayP99: number;
  readonly loopDelayMax: number;
  /** Processor time of the harness over wall-clock time; 1 is a whole core. */
  readonly cpu: number;
}

/** One request, whatever became of it. */
export interface RequestRecord {
  readonly traceId?: string;
  readonly repeat: number;
  /** When it was meant to be sent; latencies count from here. */
  readonly intended: number;
  readonly sent: number;
  readonly firstToken?: number;
  readonly end: number;
  /** Gaps between the chunks of text after the first, in milliseconds. */
  readonly gaps: readonly number[];
  readonly promptTokens?: number;
  readonly outputTokens?: number;
  readonly outcome: Outcome;
}

export type Outcome =
  | { readonly kind: "ok"; readonly finishReason?: string }
  /** By the harness, as it was asked to, or as the run was interrupted. */
  | { readonly kind: "cancelled" }
  | { readonly kind: "http"; readonly status: number; readonly code?: string; readonly retryAfterSeconds?: number }
  | { readonly kind: "broken"; readonly reason: string };

export interface Summary {
  readonly requests: number;
  readonly ok: number;
  readonly cancelled: number;
  /** By `http 429`, `broken ECONNRESET`. */
  readonly errors: Readonly<Record<string, number>>;
  readonly requestsPerSecond: Estimate;
  readonly inputTokensPerSecond: Estimate;
  readonly outputTokensPerSecond: Estimate;
  /** Requests a second that met every SLO; absent without SLOs. */
  readonly goodput?: Estimate;
  readonly latencies: Readonly<Partial<Record<LatencyName, Latency>>>;
}

/** A mean over repeats with its 95 % confidence interval, absent with one repeat. */
export interface Estimate {
  readonly value: number;
  readonly low?: number;
  readonly high?: number;
}

export interface Latency {
  readonly count: number;
  readonly mean: number;
  readonly p50: Estimate;
  readonly p90: Estimate;
  readonly p95: Estimate;
  readonly p99: Estimate;
  readonly max: number;
}

/** A metric of variant B over variant A, paired round by round. */
export interface VariantRatio {
  readonly metric: string;
  readonly base: string;
  readonly variant: string;
  readonly ratio: Estimate;
}

/** What the traces of a point say. */
export interface TraceSummary {
  readonly sent: number;
  /** Requests whose trace has both the client's and the server's span. */
  readonly complete: number;
  readonly missing: readonly string[];
  /** Spans whose parent is in no trace. */
  readonly orphans: number;
  /** Share of the SERVER span that its descendants cover, the least and the median. */
  readonly coverage?: { readonly min: number; readonly median: number };
  /** Mean milliseconds of a request by part. */
  readonly ttft: Readonly<Record<TracePart, number>>;
  readonly e2e: Readonly<Record<TracePart, number>>;
  readonly slowest: readonly { readonly traceId: string; readonly e2e: number }[];
}

export type TracePart =
  | "client_queue"
  | "network"
  | "queue"
  | "tokenize"
  | "kv_allocate"
  | "prefill"
  | "decode"
  | "write"
  | "other";
