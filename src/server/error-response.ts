import { ERRORS, type OpenAiErrorType, VitrineError, type WireError } from "../errors.js";
import type { CancelCause } from "../protocol.js";
import { EXPECTED_TIMEOUT_HEADER, type TimeLimit } from "./time-limit.js";

/** OpenAI's error object. */
export interface ErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: OpenAiErrorType;
    readonly param: string | null;
    readonly code: string | null;
  };
}

export function errorBody(error: WireError): ErrorBody {
  return {
    error: {
      message: error.message,
      type: ERRORS[error.code].type,
      param: error.param ?? null,
      // OpenAI's API has no code for an ordinary bad field.
      code: error.code === "invalid_request" ? null : error.code,
    },
  };
}

/**
 * Largest request body. A prompt of 10 MB, escapes and all, gets in, to be told in tokens that it is too long. What a
 * body costs the main thread is `JSON.parse`: 3 to 5 ms a MiB of text.
 */
export const BODY_BYTES = 32 * 2 ** 20;
/** Largest body with a prompt of token ids, which JSON.parse takes ten times as long for: a million of them. */
export const ID_BODY_BYTES = 8 * 2 ** 20;

/** Seconds after which a refused request is worth another try; undefined where waiting does not help. */
export function retryAfter(error: VitrineError): number | undefined {
  return error.status === 429 || error.status === 503 ? (error.details.retryAfterSeconds ?? 1) : undefined;
}

export const clientClosed = (): VitrineError =>
  new VitrineError("client_closed", "The client closed the connection before the response was complete.");

export const requestTimedOut = ({ ms, setBy }: TimeLimit): VitrineError =>
  new VitrineError(
    "request_timeout",
    setBy === EXPECTED_TIMEOUT_HEADER
      ? `The request took longer than the ${ms / 1000} s that its \`${setBy}\` gives: ask for fewer tokens, or raise the route's timeout.`
      : `The request took longer than ${ms / 1000} s: ask for fewer tokens, or raise ${setBy}.`,
  );

export const serverDraining = (): VitrineError =>
  new VitrineError("draining", "The server is shutting down: send the request to another one, or try again soon.");

/** What a request that was cancelled tells its client. */
export function cancelError(cause: CancelCause, limit: TimeLimit): VitrineError {
  switch (cause) {
    case "client_gone":
      return clientClosed();
    case "timeout":
      return requestTimedOut(limit);
    case "drain":
      return serverDraining();
  }
}

/** What a handler, Fastify or Node threw, as a row of the table. Messages not written by us never get out. */
export function toVitrineError(thrown: unknown): VitrineError {
  if (thrown instanceof VitrineError) return thrown;
  switch (codeOf(thrown)) {
    case "FST_ERR_CTP_BODY_TOO_LARGE":
      return new VitrineError("request_too_large", `The body is larger than ${BODY_BYTES} bytes: send a shorter one.`);
    case "FST_ERR_CTP_INVALID_MEDIA_TYPE":
      return new VitrineError(
        "unsupported_media_type",
        "The body must be JSON: send it with `content-type: application/json`.",
      );
    case "FST_ERR_CTP_INVALID_CONTENT_LENGTH":
      return new VitrineError("invalid_request", "The body's length differs from `content-length`: send them equal.");
    case "FST_ERR_BAD_URL":
    case "FST_ERR_MAX_PARAM_LENGTH":
      return new VitrineError("invalid_request", "The path cannot be read: check its length and percent-encoding.");
    case "ECONNRESET":
      return clientClosed();
    default:
      return new VitrineError("internal", "Internal error: see the server's log for this `x-request-id`.", {
        cause: thrown,
      });
  }
}

/** A stack without its first line, since an unforeseen error's message may hold text of a request. */
export function framesOf(thrown: unknown): string | undefined {
  if (!(thrown instanceof Error)) return undefined;
  const frames = thrown.stack?.split("\n").filter((line) => line.startsWith("    at "));
  return [thrown.name, ...(frames ?? [])].join("\n");
}

function codeOf(thrown: unknown): unknown {
  return thrown instanceof Error && "code" in thrown ? thrown.code : undefined;
}
