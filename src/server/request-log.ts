import type { Logger } from "pino";
import type { VitrineError } from "../errors.js";
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
    ...(error === undefined ? {} : failureFields(error)),
  };
  if (error !== undefined && isFailure(error.code)) logger.error(line, "request failed");
  else if (trace) logger.info(line, "request");
  else logger.debug(line, "request");
}

/**
 * A message about a field may name what the client chose within it (a schema's property, a tool): of those the log has
 * the field alone, as the API calls it. The client is told all.
 */
function failureFields({ message, details: { param } }: VitrineError): Record<string, string> {
  return param === undefined ? { error: message } : { param: /^\w*/.exec(param)?.[0] ?? "" };
}

/** `ok`, or the error's code. */
export const outcomeOf = (exchange: Exchange): string => exchange.error?.code ?? "ok";

/** Errors that are nobody's wish and worth somebody's look. */
const isFailure = (code: string): boolean =>
  ["internal", "inference_failed", "out_of_memory", "engine_lost"].includes(code);
