import type { SpanAttributes } from "../tracing/spans/open-span.js";
import { setAttributes } from "../tracing/spans/open-span.js";
import { attempt } from "./attempt.js";
import type { Call } from "./patch.js";
import type { Recorder } from "./recorder.js";
import { isCovered, scopeOf } from "./scope.js";
import { settle } from "./settle.js";

/**
 * A call that loads something. A `model.load` inside another (a class's loading inside a pipeline's) is the same load told more
 * exactly: what is known of it goes to the span there is. Parts, which have names of their own, are spans below it.
 */
export function loadSpan(
  recorder: Recorder,
  call: Call,
  name: "model.load" | "tokenizer.load" | "session.create",
  attributes: SpanAttributes,
  loaded: (result: unknown) => SpanAttributes = () => ({}),
): unknown {
  const scope = scopeOf();
  if (isCovered(scope)) return call.proceed();
  if (scope?.kind === "load" && name === "model.load") {
    scope.describe(attributes);
    return settle(call.proceed, (outcome) => {
      if (outcome.kind === "returned") scope.describe(attempt(() => loaded(outcome.value), {}));
    });
  }
  return recorder.span(call, {
    name,
    attributes,
    ...(name === "model.load"
      ? { scope: (maker, span) => ({ kind: "load", maker, describe: (more) => setAttributes(span, more) }) }
      : {}),
    ended: loaded,
  });
}
