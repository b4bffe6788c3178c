import type { IncomingHttpHeaders } from "node:http";
import type { WireError } from "../errors.js";
import type {
  DeviceChoice,
  DeviceRequest,
  EngineRun,
  LoadTimeline,
  Micros,
  ModelDescription,
  RequestEvent,
  RequestId,
  SamplingParams,
  StepStats,
} from "../protocol.js";
import type { PropagationFormat } from "./context/propagation.js";
import type { RefusalCount } from "./context/refused-headers.js";
import type { SamplingPolicy, SamplingRule } from "./context/sampling-policy.js";
import type { TailPolicy } from "./context/tail-policy.js";
import type { Destination } from "./export/destination.js";
import type { DeviceReading } from "./export/gpu-watch.js";

export type { DeviceReading } from "./export/gpu-watch.js";

export interface TracingOptions {
  readonly serviceName: string;
  /** Collectors, of different kinds; without one, spans go to the embedded store only. */
  readonly destinations?: readonly Destination[];
  readonly propagation: readonly PropagationFormat[];
  /** Share of traces without a caller's decision that are kept, 0 to 1. This and the next two change later through `Tracing.sampling`. */
  readonly sampleRate: number;
  /** Of them, the most a second. */
  readonly sampleLimit?: number;
  /** Other rates for some requests: the first rule that holds decides. */
  readonly samplingRules?: readonly SamplingRule[];
  /** Which of the others are kept because of how they ended; none when absent. */
  readonly tail?: TailPolicy;
  /** Model id that sampling rules may name. */
  readonly model?: string;
  /** Keep the last traces in memory and answer Zipkin's read API from them. */
  readonly storeTraces: boolean;
  /** Where this service will listen, for `localEndpoint`; its port is told once it does. */
  readonly localEndpoint: { readonly ipv4?: string };
  /** Adds `ai.cost.amount` to spans that say how long they held a device. */
  readonly pricePerDeviceHour?: number;
  /** CUDA indices of the devices to sample for `ai.gpu.*` and metrics; the first device when absent. */
  readonly gpuDeviceIds?: readonly number[];
  /** Receives the export thread's log lines (level, message), e.g. the first failed send. */
  readonly log: (level: "info" | "warn" | "error", message: string) => void;
}

/** What is traced, as the server sees it. With neither endpoint nor store every method is a no-op. */
export interface Tracing {
  startRequest(request: IncomingRequest): RequestTrace;
  /** One trace of its own for each engine start, failed ones included. */
  recordLoad(load: LoadRecord): void;
  /** A trace of its own for each step in which there is a request whose trace is kept. */
  recordStep(step: StepStats, run: EngineRun): void;
  /** Undefined when it is off. */
  readonly store: EmbeddedStore | undefined;
  /** What holds for traces that begin now; may be replaced at any time. */
  sampling: SamplingPolicy;
  /** Of the first destination; without one, of the embedded store. */
  counters(): ExportCounters;
  /** Of each destination, in the order of the options. Every span ended goes to each of them. */
  destinations(): readonly DestinationCounters[];
  /** Requests that lost their caller's trace because its ids were refused, by header and reason. */
  refusedHeaders(): readonly RefusalCount[];
  /** For totals over all requests, sampled or not. */
  readonly cost: DeviceCost;
  /** What the GPUs tell now, read in the export thread; none without one, and none where nothing is traced. */
  gpus(): Promise<readonly DeviceReading[]>;
  /** The service listens on `port`, which the spans sent from now on say. */
  listening(port: number): void;
  /** Flushes what it can within `timeoutMs`, then stops the export thread. */
  shutdown(timeoutMs: number): Promise<void>;
}

/** What devices consume and cost. */
export interface DeviceCost {
  readonly pricePerDeviceHour: number | undefined;
  /** Consumed by `device` (`cuda:0`) since it was first sampled, up to now; undefined where its power is not known. */
  joules(device: string): number | undefined;
}

export interface IncomingRequest {
  readonly method: string;
  /** Route, without query: `/v1/chat/completions`. */
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly start: Micros;
  readonly remote: { readonly address?: string; readonly port?: number };
}

export interface LoadRecord {
  readonly load: LoadTimeline;
  readonly model: Partial<ModelDescription>;
  /** What was asked for. */
  readonly requested: DeviceRequest;
  /** What was chosen, unless the start failed. */
  readonly device?: DeviceChoice;
  readonly error?: WireError;
  /** 0 for the first start, then the number of restarts before this one. */
  readonly restarts: number;
}

/** A keyed hash of who asked, never the identifier; while keys change, the one under the key before, too. */
export interface IdentityHash {
  readonly current: string;
  readonly previous?: string;
}

/** Attributes of `model.generate`, known once the request is validated. */
export interface GenerateAttributes {
  readonly model: string;
  readonly operation: "chat" | "text_completion";
  readonly stream: boolean;
  /** Undefined where it would have come from the prompt's length, which never got known. */
  readonly maxTokens: number | undefined;
  /** Without a seed where none was asked for and none was drawn. */
  readonly sampling: Omit<SamplingParams, "seed"> & { readonly seed: number | undefined };
  /** Answers asked for to each prompt. */
  readonly n: number;
  /** Alternatives reported for each token; absent where no log probabilities are. */
  readonly logprobs?: number;
  readonly priority: number;
  /** The kind of format the answer is held to, never what it holds; undefined for plain text. */
  readonly responseFormat: string | undefined;
  /** The engine's requests, where there are several: each has a span of its own. */
  readonly choices?: readonly { readonly id: RequestId; readonly seed: number }[];
  /** Whom the request names as its user, and whose API key it came with. */
  readonly user?: IdentityHash;
  readonly apiKey?: IdentityHash;
}

/**
 * One HTTP request's spans. Calls come in the order of the request's life; `finish` comes exactly once and
 * closes every span that is still open. Nothing here may throw into the request.
 */
export interface RequestTrace {
  /** 32 lower-case hex digits, and 16. */
  readonly traceId: string;
  readonly spanId: string;
  /** The decision as the trace began, which headers and log lines tell. */
  readonly sampled: boolean;
  /** It has spans, which are kept or not. */
  readonly recorded: boolean;
  /** Sampled, or slow or failed enough by now to be kept all the same. */
  readonly kept: boolean;
  /** Headers that name this trace to the client, in the configured format, `x-b3-traceid` always among them. */
  responseHeaders(): Record<string, string>;
  /** Opens `model.generate`, from `start`. */
  generating(start: Micros, attributes: GenerateAttributes): void;
  /** `promptTokens` is undefined where tokenizing was given up, for the `error` told. */
  tokenized(start: Micros, end: Micros, promptTokens: number | undefined, error?: WireError): void;
  /** Turns the engine's events into `queue`, `kv_cache.allocate`, `inference.forward` and the `first_token` annotation. */
  observe(event: RequestEvent): void;
  /** The `stream` span (or `detokenize` when the answer is sent whole): writing to the client. */
  wrote(span: {
    readonly name: "stream" | "detokenize";
    readonly start: Micros;
    readonly end: Micros;
    readonly chunks: number;
  }): void;
  finish(result: { readonly status: number; readonly at: Micros; readonly error?: WireError }): void;
}

/** What the trace store answers, in the words of Zipkin's API. */
export interface StoreAnswer {
  readonly status: number;
  /** Of a GET with status 200, JSON; else a line of plain text, or nothing. */
  readonly body: string;
}

/** The store of the last traces, in the export thread, where all of its work is done. */
export interface EmbeddedStore {
  /** Zipkin's read API. `path` below `/api/v2`, with its query: `/traces?serviceName=vitrine&limit=10`. */
  get(path: string): Promise<StoreAnswer>;
  /** Spans of other services, as JSON that may be gzipped: 202 once they are in the store. */
  post(list: Uint8Array, gzip: boolean): Promise<StoreAnswer>;
}

/**
 * Spans since start. At rest: ended + recovered = delivered + sum of dropped + sampledOut + queued + spooled. Sampled out are spans that
 * were recorded in case their trace would fail or be slow, which it did not. Delivered means the collector took it; where none
 * is configured, that it is in the embedded store. With a collector the store is not counted.
 */
export interface ExportCounters {
  readonly ended: number;
  readonly delivered: number;
  /** Recorded, and then not to be kept. */
  readonly sampledOut: number;
  readonly queued: number;
  /** On disk, until the collector takes them. */
  readonly spooled: number;
  /** Found on disk at start. */
  readonly recovered: number;
  readonly dropped: Readonly<Record<string, number>>;
  /** Encoded, before compression, as are all bytes here. */
  readonly spanBytes: number;
  readonly queuedBytes: number;
  /** POSTs, repeated ones included. */
  readonly messages: number;
  readonly messageBytes: number;
  /** POSTs the collector did not take, by cause; their spans may have been sent again. */
  readonly messagesDropped: Readonly<Record<string, number>>;
  /** Attributes left out of spans because the allow-list has no such name, or another type for it. */
  readonly attributesDropped: number;
}

export interface DestinationCounters {
  readonly kind: Destination["kind"];
  readonly counters: ExportCounters;
}
