import { SpanStatusCode } from "@opentelemetry/api";
import { type OpenSpan, setAttributes } from "../tracing/spans/open-span.js";
import type { Outcome } from "./settle.js";

/** An error's class, which OpenTelemetry's `error.type` wants; what does not look like one may hold anything. */
const CLASS_NAME = /^[A-Za-z_$][\w$.]{0,63}$/;

/** `TypeError`; `_OTHER`, as the convention has it, for what has no such name. Never the message, which may quote content. */
export function errorType(error: unknown): string {
  const name: unknown = error instanceof Error ? error.name : undefined;
  return typeof name === "string" && CLASS_NAME.test(name) ? name : "_OTHER";
}

/** Marks a span as failed, if the call it stands for was. */
export function markFailure(open: OpenSpan, outcome: Outcome): void {
  if (outcome.kind === "returned") return;
  const message = errorType(outcome.error);
  setAttributes(open, { "error.type": message });
  open.span.setStatus({ code: SpanStatusCode.ERROR, message });
}
