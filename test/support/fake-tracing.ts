import assert from "node:assert/strict";
import type { RefusalCount } from "../../src/tracing/context/refused-headers.js";
import type { SamplingPolicy } from "../../src/tracing/context/sampling-policy.js";
import type {
  DestinationCounters,
  DeviceCost,
  DeviceReading,
  EmbeddedStore,
  ExportCounters,
  GenerateAttributes,
  IncomingRequest,
  LoadRecord,
  RequestTrace,
  Tracing,
} from "../../src/tracing/contract.js";

export type TraceCall = {
  [Name in "generating" | "tokenized" | "observe" | "wrote" | "finish"]: {
    readonly name: Name;
    readonly args: Parameters<RequestTrace[Name]>;
  };
}["generating" | "tokenized" | "observe" | "wrote" | "finish"];

type FinishResult = Parameters<RequestTrace["finish"]>[0];
type WrittenSpan = Parameters<RequestTrace["wrote"]>[0];

/** Records what it is told, in order. */
export class FakeTrace implements RequestTrace {
  readonly sampled = true;
  readonly spanId: string;
  readonly traceId: string;
  readonly calls: TraceCall[] = [];
  readonly finished: Promise<FinishResult>;
  #resolve: (result: FinishResult) => void = () => {};

  constructor(
    readonly incoming: IncomingRequest,
    number: number,
    readonly kept = true,
    readonly recorded = true,
  ) {
    this.spanId = number.toString(16).padStart(16, "0");
    this.traceId = number.toString(16).padStart(32, "0");
    this.finished = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  responseHeaders(): Record<string, string> {
    return { "x-b3-traceid": this.traceId, "x-b3-spanid": this.spanId };
  }

  generating(...args: Parameters<RequestTrace["generating"]>): void {
    this.calls.push({ name: "generating", args });
  }

  tokenized(...args: Parameters<RequestTrace["tokenized"]>): void {
    this.calls.push({ name: "tokenized", args });
  }

  observe(...args: Parameters<RequestTrace["observe"]>): void {
    this.calls.push({ name: "observe", args });
  }

  wrote(...args: Parameters<RequestTrace["wrote"]>): void {
    this.calls.push({ name: "wrote", args });
  }

  finish(...args: Parameters<RequestTrace["finish"]>): void {
    this.calls.push({ name: "finish", args });
    this.#resolve(args[0]);
  }

  /** Names of the calls; `observe` with the event's type. */
  get story(): readonly string[] {
    return this.calls.map((call) => (call.name === "observe" ? `observe ${call.args[0].type}` : call.name));
  }

  get attributes(): GenerateAttributes | undefined {
    return this.calls.flatMap((call) => (call.name === "generating" ? [call.args[1]] : []))[0];
  }

  get writing(): WrittenSpan | undefined {
    return this.calls.flatMap((call) => (call.name === "wrote" ? [call.args[0]] : []))[0];
  }
}

/** Tracing that keeps its calls, and knows the rules of their order. */
export class FakeTracing implements Tracing {
  readonly traces: FakeTrace[] = [];
  readonly loads: LoadRecord[] = [];
  store: EmbeddedStore | undefined = {
    get: async (path) => ({ status: 200, body: JSON.stringify({ path }) }),
    post: async (list, gzip) => ({ status: 202, body: `${list.byteLength} ${gzip}` }),
  };
  counts: ExportCounters = {
    ended: 11,
    delivered: 5,
    sampledOut: 2,
    queued: 1,
    spooled: 6,
    recovered: 6,
    dropped: { queue_full: 3 },
    spanBytes: 900,
    queuedBytes: 100,
    messages: 3,
    messageBytes: 600,
    messagesDropped: { timeout: 1 },
    attributesDropped: 4,
  };

  cost: DeviceCost = { pricePerDeviceHour: undefined, joules: () => undefined };
  sampling: SamplingPolicy = { rate: 1, limit: null, rules: [] };
  refusals: readonly RefusalCount[] = [];
  readings: readonly DeviceReading[] = [];
  port: number | undefined;
  /** Whether its traces are. */
  kept = true;
  recorded = true;

  startRequest(request: IncomingRequest): FakeTrace {
    const trace = new FakeTrace(request, this.traces.length + 1, this.kept, this.recorded);
    this.traces.push(trace);
    return trace;
  }

  recordStep(): void {}

  recordLoad(load: LoadRecord): void {
    this.loads.push(load);
  }

  async gpus(): Promise<readonly DeviceReading[]> {
    return this.readings;
  }

  counters(): ExportCounters {
    return this.counts;
  }

  destinations(): readonly DestinationCounters[] {
    return [{ kind: "zipkin", counters: this.counts }];
  }

  refusedHeaders(): readonly RefusalCount[] {
    return this.refusals;
  }

  listening(port: number): void {
    this.port = port;
  }

  async shutdown(): Promise<void> {}

  /** Every trace has finished once, as its last call, and its calls came in order with ordered times. */
  async assertComplete(): Promise<void> {
    for (const trace of this.traces) {
      await trace.finished;
      assertOrdered(trace);
    }
  }
}

function assertOrdered(trace: FakeTrace): void {
  const { story, calls } = trace;
  assert.equal(story.filter((name) => name === "finish").length, 1, `finish comes once: ${story.join(", ")}`);
  assert.equal(story.at(-1), "finish", `finish comes last: ${story.join(", ")}`);
  const ended = calls.flatMap((call) =>
    call.name === "observe" && call.args[0].type === "ended" ? [call.args[0].id] : [],
  );
  assert.equal(new Set(ended).size, ended.length, "the engine ended each of its requests once");
  const generating = story.indexOf("generating");
  const observed = story.findIndex((name) => name.startsWith("observe"));
  if (observed >= 0) assert.ok(generating >= 0 && generating < observed, `generating comes first: ${story.join(", ")}`);
  const finish = calls.at(-1);
  assert.ok(finish?.name === "finish");
  const { at } = finish.args[0];
  assert.ok(at >= trace.incoming.start);
  for (const call of calls) {
    if (call.name === "generating") assert.ok(call.args[0] >= trace.incoming.start && call.args[0] <= at);
    if (call.name === "tokenized") assert.ok(call.args[0] <= call.args[1] && call.args[1] <= at);
    if (call.name === "wrote") assert.ok(call.args[0].start <= call.args[0].end && call.args[0].end <= at);
  }
}
