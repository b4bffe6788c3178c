import { randomInt, randomUUID } from "node:crypto";
import { monotonicMicros } from "../protocol.js";
import { Admission } from "./admission.js";
import { createKeyedHash, type KeyedHash } from "./caller.js";
import { LiveExchanges } from "./live-exchanges.js";
import { Metrics } from "./metrics/metrics.js";
import type { ServerOptions } from "./options.js";

/** What the routes share: the options with their defaults, and the server's own state. */
export interface ServerContext extends Required<ServerOptions> {
  readonly admission: Admission;
  readonly metrics: Metrics;
  readonly exchanges: LiveExchanges;
  /** For API keys and cache salts. */
  readonly hashKey: KeyedHash;
  readonly started: number;
}

export function createContext(options: ServerOptions): ServerContext {
  const clock = options.clock ?? monotonicMicros;
  const admission = new Admission(options.engine, options.limits, clock);
  return {
    ...options,
    clock,
    longInputs: options.longInputs,
    wallClock: options.wallClock ?? Date.now,
    newId: options.newId ?? (() => randomUUID().replaceAll("-", "")),
    samplingDefaults: options.samplingDefaults ?? {},
    randomSeed: options.randomSeed ?? (() => randomInt(2 ** 48 - 1)),
    admission,
    metrics: new Metrics(options.engine, options.tracing, options.modelId),
    exchanges: new LiveExchanges(),
    hashKey: createKeyedHash(),
    started: clock(),
  };
}
