import { RecordedRequest } from "../traces/recorded-request.js";
import { endOf, numberTag, type RecordedSpan, type RecordedTrace } from "../traces/zipkin-json.js";

/** What steps of one phase took on average while one request was in them. Times are milliseconds. */
export interface StepSample {
  readonly steps: number;
  /** Requests in a step. */
  readonly rows: number;
  /** Tokens of this request that a step fed. */
  readonly tokens: number;
  /** Tokens each of them attended to. */
  readonly context: number;
  /** A whole step of a decode; of a prefill this request's share, by tokens, of the step. */
  readonly ms: number;
}

/** One request that ran to its end in one go. */
export interface RequestSample {
  readonly promptTokens: number;
  readonly outputTokens: number;
  /** Of the prompt, what the cache had already. */
  readonly cachedTokens: number;
  readonly prefill: StepSample;
  /** Absent where the prefill's token was the only one. */
  readonly decode?: StepSample;
  /** Between request and first token: what was neither queue nor prefill. */
  readonly overheadMs: number;
}

interface Phases {
  readonly request: RecordedRequest;
  readonly server: RecordedSpan;
  readonly prefill: RecordedSpan;
  readonly decode: RecordedSpan | undefined;
  /** Requests share steps where the process and the device are the same. */
  readonly engine: string;
}

/** Requests of those traces that tell what steps took: streamed or not, alone or side by side, but not preempted. */
export function requestSamples(traces: readonly RecordedTrace[]): RequestSample[] {
  const phases = traces.flatMap((trace) => phasesOf(new RecordedRequest(trace)) ?? []);
  const engines = new Map<string, RecordedSpan[]>();
  for (const { engine, prefill } of phases) {
    const own = engines.get(engine);
    if (own === undefined) engines.set(engine, [prefill]);
    else own.push(prefill);
  }
  return phases.flatMap((one) => sampleOf(one, engines.get(one.engine) ?? []) ?? []);
}

function phasesOf(request: RecordedRequest): Phases | undefined {
  const { server, generate } = request;
  if (server === undefined || generate === undefined || generate.tags["ai.outcome"] !== "finished") return undefined;
  const forwards = request.spans.filter(
    ({ name, parentId }) => name === "inference.forward" && parentId === generate.id,
  );
  const [prefill, ...again] = forwards.filter(({ tags }) => tags["ai.phase"] === "prefill");
  const [decode, ...more] = forwards.filter(({ tags }) => tags["ai.phase"] === "decode");
  if (prefill === undefined || again.length + more.length > 0) return undefined;
  const { serviceName = "", ipv4 = "", port = 0 } = server.localEndpoint ?? {};
  return { request, server, prefill, decode, engine: [serviceName, ipv4, port, prefill.tags["ai.device"]].join(" ") };
}

function sampleOf(
  { request, server, prefill, decode }: Phases,
  prefills: readonly RecordedSpan[],
): RequestSample | undefined {
  const promptTokens = numberTag(request.generate as RecordedSpan, "ai.prompt.length");
  const outputTokens = numberTag(request.generate as RecordedSpan, "ai.response.length");
  const firstToken = request.annotation("first_token");
  const prefillSample = promptTokens === undefined ? undefined : prefillOf(prefill, promptTokens);
  if (promptTokens === undefined || outputTokens === undefined || firstToken === undefined || !prefillSample)
    return undefined;
  const decodeSample = decode === undefined ? undefined : decodeOf(decode, promptTokens, stolenBy(prefills, decode));
  const queue = request.during(({ name }) => name === "queue").length;
  const written = request.spans.find(({ name }) => name === "stream")?.timestamp ?? firstToken;
  const overhead = Math.max(firstToken, written) - server.timestamp - queue - prefill.duration;
  return {
    promptTokens,
    outputTokens,
    cachedTokens: Math.max(0, promptTokens - prefillSample.steps * prefillSample.tokens),
    prefill: prefillSample,
    ...(decodeSample === undefined ? {} : { decode: decodeSample }),
    overheadMs: Math.max(0, overhead / 1e3),
  };
}

function prefillOf(span: RecordedSpan, promptTokens: number): StepSample | undefined {
  const [steps, fed, rows] = ["ai.steps", "ai.tokens", "ai.batch.size"].map((name) => numberTag(span, name));
  const share = numberTag(span, "ai.cost.device_seconds");
  const longest = numberTag(span, "ai.step_ms.max");
  if (!steps || !fed || !rows || !share || !longest) return undefined;
  const tokens = fed / steps;
  // A single step's span also holds what the engine did around it; in longer ones decode steps lie between.
  const around = steps === 1 ? Math.max(1, span.duration / 1e3 / longest) : 1;
  const context = promptTokens - fed + (fed + tokens) / 2;
  return { steps, rows, tokens, context, ms: (share * 1e3 * around) / steps };
}

function decodeOf(span: RecordedSpan, promptTokens: number, stolenMs: number): StepSample | undefined {
  const [steps, rows] = [numberTag(span, "ai.steps"), numberTag(span, "ai.batch.mean_size")];
  if (!steps || !rows) return undefined;
  const ms = (span.duration / 1e3 - stolenMs) / steps;
  return ms > 0 ? { steps, rows, tokens: 1, context: promptTokens + steps / 2, ms } : undefined;
}

/** Time of a decode that went to prefills of other requests, in milliseconds: of each its share, as far as it lies within. */
function stolenBy(prefills: readonly RecordedSpan[], decode: RecordedSpan): number {
  return prefills.reduce((sum, prefill) => {
    const within = Math.min(endOf(prefill), endOf(decode)) - Math.max(prefill.timestamp, decode.timestamp);
    if (within <= 0) return sum;
    return sum + ((numberTag(prefill, "ai.cost.device_seconds") ?? 0) * 1e3 * within) / Math.max(1, prefill.duration);
  }, 0);
}
