import type { Message } from "@bufbuild/protobuf";
import type { ModelProto } from "./onnx_pb.js";

/** What a rewrite made of a graph. */
export interface Rewritten {
  /** The graph it was given, where it did not apply. */
  readonly model: ModelProto;
  readonly applied: boolean;
  /** What was done, or why nothing was; one sentence for the log. */
  readonly note: string;
}

/** A pure function: it shares what it does not change with the graph it is given, and leaves that one as it is. */
export type Rewrite = (model: ModelProto) => Rewritten;

/** Applies rewrites one after the other. */
export function applyRewrites(
  model: ModelProto,
  rewrites: readonly Rewrite[],
): { readonly model: ModelProto; readonly applied: boolean; readonly notes: readonly string[] } {
  const notes: string[] = [];
  let applied = false;
  let result = model;
  for (const rewrite of rewrites) {
    const step = rewrite(result);
    result = step.model;
    applied ||= step.applied;
    notes.push(step.note);
  }
  return { model: result, applied, notes };
}

/** A copy with some fields changed; the others, unknown ones too, are shared with the original. */
export function withFields<M extends Message>(message: M, changes: Partial<M>): M {
  // The prototype holds what fields that are not set read as.
  return Object.assign(Object.create(Object.getPrototypeOf(message)), message, changes);
}
