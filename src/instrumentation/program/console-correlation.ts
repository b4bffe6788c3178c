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
  const line = args.length === 1 && typeof first === "string" ? objectIn(first) : undefined;
  if (line === undefined) return [...args, textOf(fields)];
  return "trace_id" in line.members ? args : [withMembers(line.text, fields)];
}

const textOf = (fields: Readonly<Record<string, string>>): string =>
  Object.entries(fields)
    .map(([name, value]) => `${name}=${value}`)
    .join(" ");

/** A line that a logger wrote as JSON. */
function objectIn(text: string): { readonly text: string; readonly members: object } | undefined {
  if (!text.startsWith("{") || !text.endsWith("}")) return undefined;
  try {
    return { text, members: JSON.parse(text) as object };
  } catch {
    return undefined;
  }
}

function withMembers(text: string, fields: Readonly<Record<string, string>>): string {
  const inside = text.slice(1, -1);
  return `{${inside}${inside.trim() === "" ? "" : ","}${JSON.stringify(fields).slice(1, -1)}}`;
}
