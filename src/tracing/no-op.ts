import type { Tracing } from "./contract.js";
import { UnrecordedRequest } from "./spans/request-trace.js";

const REQUEST = new UnrecordedRequest("0".repeat(32), "0".repeat(16), {});

/** What there is when spans would go nowhere. Requests have the ids that mean "none", and no headers. */
export const NO_TRACING: Tracing = {
  startRequest: () => REQUEST,
  recordLoad: () => {},
  store: undefined,
  counters: () => ({
    ended: 0,
    delivered: 0,
    queued: 0,
    dropped: {},
    sendsOk: 0,
    sendsFailed: 0,
    attributesDropped: 0,
  }),
  refusedHeaders: () => [],
  listening: () => {},
  shutdown: async () => {},
};
