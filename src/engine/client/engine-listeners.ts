import type { EngineRun, StepStats } from "../../protocol.js";
import type { EngineLoad, EngineState } from "./client-contract.js";

type LoadListener = (load: EngineLoad) => void;
type StateListener = (state: EngineState) => void;
type StepListener = (step: StepStats, run: EngineRun) => void;

/** Who hears of one engine's loads, states and steps. */
export class EngineListeners {
  readonly #ofLoads: LoadListener[] = [];
  readonly #ofStates: StateListener[] = [];
  readonly #ofSteps: StepListener[] = [];
  #lastLoad: EngineLoad | undefined;

  /** Who comes late is told of the last load, too, though never before this call is over. */
  onLoad(listener: LoadListener): void {
    this.#ofLoads.push(listener);
    const last = this.#lastLoad;
    if (last !== undefined) queueMicrotask(() => listener(last));
  }

  onState(listener: StateListener): void {
    this.#ofStates.push(listener);
  }

  onStep(listener: StepListener): void {
    this.#ofSteps.push(listener);
  }

  tellLoad(load: EngineLoad): void {
    this.#lastLoad = load;
    for (const listener of this.#ofLoads) listener(load);
  }

  tellState(state: EngineState): void {
    for (const listener of this.#ofStates) listener(state);
  }

  tellStep(step: StepStats, run: EngineRun): void {
    for (const listener of this.#ofSteps) listener(step, run);
  }
}
