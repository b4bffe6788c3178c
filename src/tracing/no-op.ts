import type { ExportCounters, Tracing } from "./contract.js";
import { UnrecordedRequest } from "./spans/request-trace.js";

const REQUEST = new UnrecordedRequest("0".repeat(32), "0".repeat(16), {});

const COUNTERS: ExportCounters = {
  ended: 0,
  delivered: 0,
  sampledOut: 0,
  queued: 0,
  spooled: 0,
  recovered: 0,
  dropped: {},
  spanBytes: 0,
  queuedBytes: 0,
  messages: 0,
  messageBytes: 0,
  messagesDropped: {},
  attributesDropped: 0,
};

/** What there is when spans would go nowhere. Requests have the ids that mean "none", and no headers. */
export const NO_TRACING: Tracing = {
  startRequest: () => REQUEST,
  recordLoad: () => {},
  recordStep: () => {},
  store: undefined,
  sampling: { rate: 0, limit: null, rules: [] },
  counters: () => COUNTERS,
  destinations: () => [],
  refusedHeaders: () => [],
  cost: { pricePerDeviceHour: undefined, joules: () => undefined },
  gpus: async () => [],
  listening: () => {},
  shutdown: async () => {},
};
