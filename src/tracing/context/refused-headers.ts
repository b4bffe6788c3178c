import { OncePerMinute } from "../once-per-minute.js";
import type { HeaderReader, TraceHeaders } from "./propagation.js";

/** Headers whose ids may be refused: B3's single one, its pair of ids, and W3C's. */
export type IdHeader = "b3" | "x-b3-traceid" | "x-b3-spanid" | "traceparent";

/** What is wrong with ids that were sent. Never what they were: anything can stand in a header. */
export type RefusalReason = "upper_case" | "all_zero" | "too_short" | "too_long" | "missing" | "malformed";

export interface Refusal {
  readonly header: IdHeader;
  readonly reason: RefusalReason;
}

export interface RefusalCount extends Refusal {
  readonly count: number;
}

/** Why `text` is no id of one of these lengths; undefined when it is one. */
function reasonOf(text: string | undefined, lengths: readonly number[]): RefusalReason | undefined {
  if (text === undefined || text === "") return "missing";
  if (!/^[0-9a-f]+$/i.test(text)) return "malformed";
  if (text.length > Math.max(...lengths)) return "too_long";
  if (!lengths.includes(text.length)) return "too_short";
  if (/^0+$/.test(text)) return "all_zero";
  return /[A-F]/.test(text) ? "upper_case" : undefined;
}

const TRACE_LENGTHS = [16, 32];
const SPAN_LENGTHS = [16];

/** The first header with ids that were sent and not taken: a well-formed one beside it says nothing about it. */
export function findRefusal(read: HeaderReader): Refusal | undefined {
  const [b3, traceId, spanId, parent] = ["b3", "x-b3-traceid", "x-b3-spanid", "traceparent"].map(
    (name) => read(name)?.trim() ?? "",
  );
  if (b3 !== "" && b3 !== undefined && !/^[01d]$/.test(b3)) {
    const [trace, span] = b3.split("-");
    return { header: "b3", reason: reasonOf(trace, TRACE_LENGTHS) ?? reasonOf(span, SPAN_LENGTHS) ?? "malformed" };
  }
  if (traceId !== "" || spanId !== "") {
    const reason = reasonOf(traceId, TRACE_LENGTHS);
    if (reason !== undefined) return { header: "x-b3-traceid", reason };
    return { header: "x-b3-spanid", reason: reasonOf(spanId, SPAN_LENGTHS) ?? "malformed" };
  }
  if (parent === "" || parent === undefined) return undefined;
  const [, trace, span] = parent.split("-");
  if (span === undefined) return { header: "traceparent", reason: "malformed" };
  return { header: "traceparent", reason: reasonOf(trace, [32]) ?? reasonOf(span, SPAN_LENGTHS) ?? "malformed" };
}

/** Counts requests that lost their caller's trace because its ids were refused, and says so once a minute at most. */
export class RefusedHeaders {
  readonly #counts = new Map<string, RefusalCount>();
  readonly #minute = new OncePerMinute();
  #sinceLog = 0;

  constructor(private readonly log: (level: "warn", message: string) => void) {}

  get counts(): readonly RefusalCount[] {
    return [...this.#counts.values()];
  }

  /** @param now milliseconds of a steady clock */
  note(headers: TraceHeaders, read: HeaderReader, now: number): void {
    if (headers.ids !== undefined) return;
    const refusal = findRefusal(read);
    if (refusal === undefined) return;
    const key = `${refusal.header} ${refusal.reason}`;
    this.#counts.set(key, { ...refusal, count: (this.#counts.get(key)?.count ?? 0) + 1 });
    this.#sinceLog++;
    if (!this.#minute.take(now)) return;
    this.log(
      "warn",
      `The header ${refusal.header} of a request was refused (${refusal.reason}), so it began a trace of its own. Ids are 16 ` +
        `or 32 lower-case hex digits, not all zero. Refused since the last such line: ${this.#sinceLog}.`,
    );
    this.#sinceLog = 0;
  }
}
