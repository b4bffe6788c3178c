import { RecordedRequest } from "./recorded-request.js";
import { type RecordedTrace, traceSchema, tracesSchema } from "./zipkin-json.js";

export interface TraceReaderOptions {
  /** `http://host:9411/api/v2` of a Zipkin, `http://host:8080/zipkin/api/v2` of a vitrine. */
  readonly api: string;
  /** The client's spans are expected there, too. */
  readonly clientStored: boolean;
  /** How long to wait for spans that have not come, in milliseconds. */
  readonly patienceMs?: number;
  readonly fetch?: typeof fetch;
  /** Milliseconds of a steady clock, and waiting by it. */
  readonly now?: () => number;
  readonly sleep?: (ms: number) => Promise<void>;
}

export type ReadTraces =
  | { readonly kind: "read"; readonly traces: ReadonlyMap<string, RecordedRequest> }
  /** One sentence. */
  | { readonly kind: "unavailable"; readonly why: string };

/** As many as a URL of 2,000 characters holds. */
const BATCH = 50;
const AT_ONCE = 4;
const PATIENCE_MS = 15_000;
const PAUSE_MS = 250;
/** One answer that never comes must not hold the report up. */
const ANSWER_MS = 10_000;

/** Reads the traces back, again and again until all have arrived or patience is over; what came late or never is left out. */
export async function readTraces(ids: readonly string[], options: TraceReaderOptions): Promise<ReadTraces> {
  const { now = () => performance.now(), sleep = pause, patienceMs = PATIENCE_MS } = options;
  const traces = new Map<string, RecordedRequest>();
  const deadline = now() + patienceMs;
  for (let wanted = [...new Set(ids)]; ; ) {
    const failure = await readInto(traces, wanted, options);
    if (failure !== undefined && traces.size === 0) return { kind: "unavailable", why: failure };
    wanted = wanted.filter((id) => !arrived(traces.get(id), options));
    if (wanted.length === 0 || now() >= deadline) return { kind: "read", traces };
    await sleep(PAUSE_MS);
  }
}

/** The span of the server ends last, so all below it are there. */
function arrived(request: RecordedRequest | undefined, { clientStored }: TraceReaderOptions): boolean {
  return request?.server !== undefined && (!clientStored || request.client !== undefined);
}

/** Returns what went wrong, in one sentence. */
async function readInto(
  traces: Map<string, RecordedRequest>,
  ids: readonly string[],
  options: TraceReaderOptions,
): Promise<string | undefined> {
  const batches = Array.from({ length: Math.ceil(ids.length / BATCH) }, (_, i) =>
    ids.slice(i * BATCH, (i + 1) * BATCH),
  );
  let failure: string | undefined;
  const work = async (): Promise<void> => {
    for (let batch = batches.shift(); batch !== undefined; batch = batches.shift()) {
      try {
        for (const spans of await readBatch(batch, options)) {
          const id = spans[0]?.traceId;
          if (id !== undefined) traces.set(id, new RecordedRequest(spans));
        }
      } catch (error) {
        failure = `${options.api} could not be read: ${error instanceof Error ? error.message : String(error)}`;
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return failure;
}

async function readBatch(ids: readonly string[], options: TraceReaderOptions): Promise<readonly RecordedTrace[]> {
  const { api, fetch: get = fetch } = options;
  const [only, ...others] = ids;
  // Zipkin refuses to read many of one.
  const path = others.length === 0 ? `trace/${only}` : `traceMany?traceIds=${ids.join(",")}`;
  const response = await get(`${api}/${path}`, { signal: AbortSignal.timeout(ANSWER_MS) });
  if (response.status === 404 && others.length === 0) return [];
  if (!response.ok) throw new Error(`it answered ${response.status}.`);
  const body: unknown = await response.json();
  const parsed =
    others.length === 0 ? traceSchema.transform((spans) => [spans]).safeParse(body) : tracesSchema.safeParse(body);
  if (!parsed.success) throw new Error("its answer is not a list of Zipkin's spans.");
  return parsed.data;
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
