import type { Context } from "@opentelemetry/api";
import type { LoadPhase } from "../../protocol.js";
import type { LoadRecord } from "../contract.js";
import { deviceAttributes } from "./device-attributes.js";
import type { SpanAttributes } from "./open-span.js";
import type { SpanMaker } from "./span-maker.js";

/** `model.load` with one child a phase. A failure belongs to the last phase, which was running then, and to the whole. */
export function recordLoadSpans(maker: SpanMaker, root: Context, record: LoadRecord): void {
  const { load, model, requested, device, error, restarts } = record;
  const parent = maker.open("model.load", load.start, root, {
    "ai.model.name": model.name,
    "ai.model.dtype": model.dtype,
    "ai.model.weight_bytes": model.weightBytes,
    "ai.model.context_length": model.contextLength,
    "ai.model.layers": model.layers,
    "ai.model.vocab_size": model.vocabSize,
    "ai.kv.bytes_per_token": model.kvBytesPerToken,
    ...(device === undefined ? { "ai.device": requested } : deviceAttributes(device)),
    "ai.engine.restarts": restarts,
  });
  const last = load.phases.reduce((latest, { start }) => Math.max(latest, start), Number.NEGATIVE_INFINITY);
  for (const phase of load.phases) {
    const failure = phase.start === last ? error : undefined;
    maker.add(phase.name, phase.start, phase.end, parent, rehearsalAttributes(phase), failure);
  }
  maker.end(parent, Math.max(load.end, maker.latest), error);
}

function rehearsalAttributes({ rehearsal }: LoadPhase): SpanAttributes {
  if (rehearsal === undefined) return {};
  const { checks, largestError, failed } = rehearsal;
  return {
    "ai.rehearsal.checks": checks,
    "ai.rehearsal.largest_error": largestError,
    "ai.rehearsal.failed": failed.length === 0 ? undefined : failed.join(" "),
  };
}
