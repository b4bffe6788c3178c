/** A finished span as the export thread sees it: what passed the allow-list, in plain values. */
export interface SpanRecord {
  /** 32, 16 and 16 lower-case hex digits. */
  readonly traceId: string;
  readonly spanId: string;
  readonly parentId?: string | undefined;
  /** OpenTelemetry's `SpanKind`. */
  readonly kind: number;
  readonly name: string;
  /** Whole microseconds since the epoch. */
  readonly start: number;
  readonly end: number;
  readonly debug: boolean;
  readonly failed: boolean;
  /** Empty unless failed. */
  readonly statusMessage: string;
  readonly attributes: Record<string, AttributeValue>;
  readonly events: readonly { readonly at: number; readonly name: string }[];
}

export type AttributeValue = string | number | boolean | readonly string[];
