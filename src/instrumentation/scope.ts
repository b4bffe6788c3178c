import { type Context, context, createContextKey } from "@opentelemetry/api";
import type { SpanAttributes } from "../tracing/spans/open-span.js";
import type { SpanMaker } from "../tracing/spans/span-maker.js";
import type { Generation } from "./generation.js";

/** The call of an instrumented library that the running code is part of: what its own calls in turn mean. */
export type Scope =
  /** What it does inside is its own matter, and makes no spans. */
  | { readonly kind: "leaf" }
  /** Something is being loaded: what else is loaded below is part of that. */
  | { readonly kind: "load"; readonly maker: SpanMaker; readonly describe: (attributes: SpanAttributes) => void }
  | { readonly kind: "pipeline"; readonly maker: SpanMaker; readonly self: unknown; readonly task: string | undefined }
  | { readonly kind: "generate"; readonly maker: SpanMaker; readonly generation: Generation };

// The key is a registered symbol: two copies of this package see each other's scopes.
const KEY = createContextKey("vitrine.instrumentation.scope");
const LEAF: Scope = { kind: "leaf" };

export function scopeOf(where: Context = context.active()): Scope | undefined {
  return where.getValue(KEY) as Scope | undefined;
}

export function withScope(where: Context, scope: Scope): Context {
  return where.setValue(KEY, scope);
}

/** Whether what is called there is part of a call that has its span. */
export function isCovered(scope: Scope | undefined): boolean {
  return scope?.kind === "leaf" || (scope?.kind === "generate" && scope.generation.stepping);
}

/** Nothing called from there makes a span of ours. */
export function asLeaf(where: Context): Context {
  return withScope(where, LEAF);
}
