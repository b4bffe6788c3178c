import type { Logger } from "pino";
import type { Micros } from "../protocol.js";
import { traceFields } from "../tracing/log-correlation.js";
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
    ...(tokens === undefined
      ? {}
      : { prompt_tokens: tokens.prompt, cached_tokens: tokens.cached, completion_tokens: tokens.completion }),
    ms: Math.round((at - request.start) / 10) / 100,
    request_id: request.id,
    ...traceFields(trace),
    ...(error === undefined ? {} : { error: error.message }),
  };
  if (error !== undefined && isFailure(error.code)) logger.error(line, "request failed");
  else if (trace) logger.info(line, "request");
  else logger.debug(line, "request");
}

/** `ok`, or the error's code. */
export const outcomeOf = (exchange: Exchange): string => exchange.error?.code ?? "ok";

/** Errors that are nobody's wish and worth somebody's look. */
const isFailure = (code: string): boolean => ["internal", "inference_failed", "engine_lost"].includes(code);
