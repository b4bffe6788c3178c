/**
 * The one table of errors: every failure vitrine reports, on the wire, at start or in a span, has a row here.
 * Messages are written where the error is raised; they name what is wrong and how to mend it, and never
 * contain prompt or completion text.
 */

/** `type` values of OpenAI's error objects. */
export type OpenAiErrorType = "invalid_request_error" | "rate_limit_error" | "server_error" | "timeout_error";

interface ErrorRow {
  /** HTTP status of a response that carries this error. */
  readonly status: number;
  readonly type: OpenAiErrorType;
  /** True when the same request may succeed later, unchanged. */
  readonly retryable: boolean;
}

const invalid = (status: number): ErrorRow => ({ status, type: "invalid_request_error", retryable: false });
const server = (status: number, retryable: boolean): ErrorRow => ({ status, type: "server_error", retryable });

export const ERRORS = {
  // A request that cannot be served as it is.
  invalid_request: invalid(400),
  context_length_exceeded: invalid(400),
  model_not_found: invalid(404),
  not_found: invalid(404),
  method_not_allowed: invalid(405),
  request_too_large: invalid(413),
  unsupported_media_type: invalid(415),
  // A request that could not be served now.
  queue_full: { status: 429, type: "rate_limit_error", retryable: true },
  key_limit_reached: { status: 429, type: "rate_limit_error", retryable: true },
  client_closed: { status: 499, type: "invalid_request_error", retryable: false },
  draining: server(503, true),
  engine_not_ready: server(503, true),
  engine_lost: server(503, true),
  out_of_memory: server(503, true),
  request_timeout: { status: 504, type: "timeout_error", retryable: true },
  inference_failed: server(500, false),
  internal: server(500, false),
  // Start-up: these end the process, or keep `/ready` at 503.
  config_invalid: server(500, false),
  model_missing: server(500, false),
  model_invalid: server(500, false),
  model_unsupported: server(500, false),
  device_unavailable: server(500, false),
  port_unavailable: server(500, false),
  // Tells the client to load in another process, without the native runtime.
  native_failed: server(500, false),
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof ERRORS;

/** An error as it crosses a process or thread boundary. */
export interface WireError {
  readonly code: ErrorCode;
  readonly message: string;
  /** The request field or command-line flag at fault. */
  readonly param?: string;
}

/** The only error class vitrine throws on purpose. */
export class VitrineError extends Error {
  override readonly name = "VitrineError";

  constructor(
    readonly code: ErrorCode,
    message: string,
    readonly details: { readonly param?: string; readonly cause?: unknown; readonly retryAfterSeconds?: number } = {},
  ) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
  }

  get status(): number {
    return ERRORS[this.code].status;
  }

  get retryable(): boolean {
    return ERRORS[this.code].retryable;
  }

  /** The same failure as plain data. */
  toWire(): WireError {
    const { param } = this.details;
    return { code: this.code, message: this.message, ...(param === undefined ? {} : { param }) };
  }

  static fromWire(error: WireError): VitrineError {
    return new VitrineError(error.code, error.message, error.param === undefined ? {} : { param: error.param });
  }

  /** Any thrown value as a `VitrineError`; what was not thrown on purpose becomes `fallback`. */
  static from(thrown: unknown, fallback: ErrorCode = "internal"): VitrineError {
    if (thrown instanceof VitrineError) return thrown;
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    return new VitrineError(fallback, message, { cause: thrown });
  }
}

const FILE_PROBLEMS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  ENOTDIR: "a part of its path is no folder",
  EISDIR: "it is a folder",
  EACCES: "this user may not",
  EPERM: "this user may not",
  EROFS: "its file system is read-only",
  ENOSPC: "its disk is full",
  EDQUOT: "its disk is full",
};

/** Why the system would not read or write a file, as a clause: `there is no such file`. */
export function fileProblem(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  return ("code" in thrown ? FILE_PROBLEMS[String(thrown.code)] : undefined) ?? thrown.message;
}
