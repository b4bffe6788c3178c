/** How one POST of a batch ended. `retry` tells whether the same batch may succeed later. */
export type SendResult =
  | { readonly ok: true }
  | {
      readonly ok: false;
      readonly cause: "connection_failed" | "tls_failed" | "timeout" | "server_error" | "rejected";
      /** One clause for the log; never a header or body. */
      readonly reason: string;
    };

/** Delivers a batch to one collector. */
export interface Sender {
  /** Where to, for the log. */
  readonly target: string;
  /** `spans` are Zipkin v2 spans as JSON. Settles within about `timeoutMs` and never rejects. */
  send(spans: readonly string[], timeoutMs: number): Promise<SendResult>;
  close(): void;
}
