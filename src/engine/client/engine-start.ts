import type { WireError } from "../../errors.js";
import type { LoadPhaseName, LoadTimeline, Micros } from "../../protocol.js";
import { PhaseRecorder } from "../phase-recorder.js";

/** One start of the engine process as the client sees it: it counts from the fork. */
export class EngineStart {
  /** How its load failed, where another process may do better. */
  nativeFailure: WireError | undefined;
  /** Why it ends, where it has said so. */
  lost: WireError | undefined;
  readonly #phases = new PhaseRecorder();
  #result:
    | { readonly kind: "ready"; readonly at: Micros }
    | { readonly kind: "failed"; readonly error: WireError }
    | undefined;

  constructor(readonly forkedAt: Micros) {}

  /** True once it is ready or has failed. */
  get finished(): boolean {
    return this.#result !== undefined;
  }

  /** Why it failed, if it did. */
  get error(): WireError | undefined {
    return this.#result?.kind === "failed" ? this.#result.error : undefined;
  }

  begin(phase: LoadPhaseName, at: Micros): void {
    this.#phases.begin(phase, at);
  }

  /** The child's own timeline, the start of the process added in front. */
  succeed(load: LoadTimeline): LoadTimeline {
    this.#result = { kind: "ready", at: load.end };
    return { ...load, start: this.forkedAt };
  }

  /** @param load the child's own timeline; a child that died left none, only what it said as it went */
  fail(error: WireError, at: Micros, load?: LoadTimeline): LoadTimeline {
    this.#result = { kind: "failed", error };
    return { ...(load ?? { end: at, phases: this.#phases.end(at) }), start: this.forkedAt };
  }

  /** How long it has been ready, in milliseconds; 0 if it never was. */
  readyMs(now: Micros): number {
    return this.#result?.kind === "ready" ? (now - this.#result.at) / 1e3 : 0;
  }
}
