import { type DestinationStream, type Logger, type LoggerOptions, pino } from "pino";

/** Elastic Common Schema (https://www.elastic.co/docs/reference/ecs), of which it has no name for W3C's trace flags. */
const ECS_NAMES: Readonly<Record<string, string>> = {
  trace_id: "trace.id",
  span_id: "span.id",
  request_id: "http.request.id",
};

const ECS: LoggerOptions = {
  base: { "ecs.version": "8.17.0" },
  messageKey: "message",
  timestamp: () => `,"@timestamp":"${new Date().toISOString()}"`,
  formatters: {
    level: (label) => ({ "log.level": label }),
    log: (fields) =>
      Object.fromEntries(Object.entries(fields).map(([name, value]) => [ECS_NAMES[name] ?? name, value])),
  },
};

const PLAIN: LoggerOptions = { base: null, timestamp: pino.stdTimeFunctions.isoTime };

export type LogFormat = "json" | "ecs";

/** JSON lines on stderr; stdout is for what the command itself prints. */
export function createLogger(
  level: string,
  format: LogFormat = "json",
  destination: DestinationStream = pino.destination(2),
): Logger {
  return pino({ level, ...(format === "ecs" ? ECS : PLAIN) }, destination);
}
