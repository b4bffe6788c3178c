/** Lines that a program writes with `console` while it serves a request say which. */
import { context, isSpanContextValid, trace } from "@opentelemetry/api";
import { getRPCMetadata } from "@opentelemetry/core";
import { traceFields } from "../../tracing/log-correlation.js";

const METHODS = ["log", "info", "warn", "error", "debug"] as const;
type Method = (...args: unknown[]) => void;

/**
 * Changes `console` so that what is written while a request is being served ends in ` trace_id=… span_id=… trace_flags=…`;
 * one text that is a JSON object gets them as members. Outside of requests nothing is changed: a command's output is
 * somebody's input. Returns what undoes it.
 */
export function correlateConsole(target: Console = console): () => void {
  const undo = METHODS.map((name) => {
    const original = target[name] as Method;
    const correlated: Method = (...args) => original.apply(target, withTrace(args));
    target[name] = correlated;
    return () => {
      // Whoever changed it after us keeps it.
      if (target[name] === correlated) target[name] = original;
    };
  });
  return () => {
    for (const one of undo) one();
  };
}

function withTrace(args: unknown[]): unknown[] {
  const active = context.active();
  const span = trace.getSpanContext(active);
  if (args.length === 0 || getRPCMetadata(active) === undefined || span === undefined || !isSpanContextValid(span)) {
    return args;
  }
  const fields = traceFields({ ...span, sampled: (span.traceFlags & 1) === 1 });
  const [first] = args;
  if (args.length === 1 && typeof first === "string" && isObjectText(first)) return [withMembers(first, fields)];
  return [
    ...args,
    Object.entries(fields)
      .map(([name, value]) => `${name}=${value}`)
      .join(" "),
  ];
}

function isObjectText(text: string): boolean {
  if (!text.startsWith("{") || !text.endsWith("}")) return false;
  try {
    return "trace_id" in (JSON.parse(text) as object) === false;
  } catch {
    return false;
  }
}

function withMembers(text: string, fields: Readonly<Record<string, string>>): string {
  const members = JSON.stringify(fields).slice(1, -1);
  const inside = text.slice(1, -1);
  return `{${inside}${inside.trim() === "" ? "" : ","}${members}}`;
}
