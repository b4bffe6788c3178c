import type { IdGenerator } from "@opentelemetry/sdk-trace-node";

/** Another generator's ids, except for traces that are given theirs. */
export class TraceIds implements IdGenerator {
  #given: string | undefined;

  constructor(private readonly others: IdGenerator) {}

  generateTraceId(): string {
    return this.#given ?? this.others.generateTraceId();
  }

  generateSpanId(): string {
    return this.others.generateSpanId();
  }

  /** Traces that `begin` begins have this id. */
  during<T>(traceId: string, begin: () => T): T {
    this.#given = traceId;
    try {
      return begin();
    } finally {
      this.#given = undefined;
    }
  }
}
