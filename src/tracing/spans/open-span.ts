import type { Attributes, Context, Span } from "@opentelemetry/api";
import type { Micros } from "../../protocol.js";
import type { AttributeName } from "../privacy.js";

/** Attributes that vitrine sets: names of the allow-list, undefined ones left out. */
export type SpanAttributes = { readonly [name in AttributeName]?: Attributes[string] | undefined };

/** A span that is open, with the bounds its children have to keep. */
export interface OpenSpan {
  readonly span: Span;
  readonly context: Context;
  readonly start: Micros;
}

export function setAttributes(open: OpenSpan, attributes: SpanAttributes): void {
  open.span.setAttributes(definedAttributes(attributes));
}

export function definedAttributes(attributes: SpanAttributes): Attributes {
  const out: Attributes = {};
  for (const name in attributes) {
    const value = attributes[name as AttributeName];
    if (value !== undefined) out[name] = value;
  }
  return out;
}
