import type { Logger } from "pino";
import type { Micros } from "../protocol.js";
import type { Exchange } from "./exchange.js";

/** One line a request, when it is over. No content: names, numbers and codes. */
export function logExchange(logger: Logger, exchange: Exchange, at: Micros): void {
  const { request, error, tokens, status } = exchange;
  const { trace } = request;
  const line = {
    method: request.method,
    route: request.route,
    status,
    outcome: outcomeOf(exchange),
    ...(tokens === undefined ? {} : { prompt_tokens: tokens.prompt, completion_tokens: tokens.completion }),
    ms: Math.round((at - request.start) / 10) / 100,
    request_id: request.id,
    ...traceFields(exchange),
    ...(error === undefined ? {} : { error: error.message }),
  };
  if (error !== undefined && isFailure(error.code)) logger.error(line, "request failed");
  else if (trace) logger.info(line, "request");
  else logger.debug(line, "request");
}

/** `ok`, or the error's code. */
export const outcomeOf = (exchange: Exchange): string => exchange.error?.code ?? "ok";

/** What joins a log line with its trace. */
export function traceFields(exchange: Exchange): { readonly trace_id?: string; readonly span_id?: string } {
  const { trace } = exchange.request;
  return trace === undefined ? {} : { trace_id: trace.traceId, span_id: trace.spanId };
}

/** Errors that are nobody's wish and worth somebody's look. */
const isFailure = (code: string): boolean => ["internal", "inference_failed", "engine_lost"].includes(code);
