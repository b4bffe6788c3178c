import { z } from "zod";

/** What is read of a span, of whatever service (https://zipkin.io/zipkin-api/zipkin2-api.yaml). Times are microseconds. */
const spanSchema = z.object({
  traceId: z.string(),
  id: z.string(),
  parentId: z.string().optional(),
  kind: z.string().optional(),
  name: z.string().default(""),
  timestamp: z.number().default(0),
  duration: z.number().default(0),
  annotations: z.array(z.object({ timestamp: z.number(), value: z.string() })).default([]),
  localEndpoint: z
    .object({ serviceName: z.string().optional(), ipv4: z.string().optional(), port: z.number().optional() })
    .optional(),
  tags: z.record(z.string(), z.string()).default({}),
});

/** A list of traces, as `/api/v2/traces` and `/api/v2/traceMany` answer it. */
export const tracesSchema = z.array(z.array(spanSchema));
export const traceSchema = z.array(spanSchema);

export type RecordedSpan = z.infer<typeof spanSchema>;
export type RecordedTrace = readonly RecordedSpan[];

export const endOf = (span: RecordedSpan): number => span.timestamp + span.duration;

/** A tag that is a number; undefined where it is absent or none. */
export function numberTag(span: RecordedSpan, name: string): number | undefined {
  const text = span.tags[name];
  const value = text === undefined || text === "" ? Number.NaN : Number(text);
  return Number.isFinite(value) ? value : undefined;
}
