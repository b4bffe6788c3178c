import { type Logger, pino } from "pino";

/** JSON lines on stderr; stdout is for what the command itself prints. */
export function createLogger(level: string): Logger {
  return pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, pino.destination(2));
}
