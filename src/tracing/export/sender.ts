import type { SendFailure } from "../counters.js";

/** How one POST of a batch ended. */
export type SendResult = { readonly ok: true } | SendFailed;

export interface SendFailed {
  readonly ok: false;
  /** `refused`: fault was found with the spans, so that others may be taken; `rejected`: sending again would not help. */
  readonly cause: SendFailure;
  /** One clause for the log; never a header or body. */
  readonly reason: string;
  /** How long the collector asked to be left alone. */
  readonly retryAfterMs?: number;
  /** The spans are kept on disk, and are not the caller's any more: after a POST that failed, or without one. */
  readonly spooled?: "sent" | "unsent";
}

/** Delivers a batch to one collector. */
export interface Sender {
  /** Where to, for the log. */
  readonly target: string;
  /** `spans` are Zipkin v2 spans as JSON. Settles within about `timeoutMs` and never rejects. */
  send(spans: readonly string[], timeoutMs: number): Promise<SendResult>;
  close(): void;
}
