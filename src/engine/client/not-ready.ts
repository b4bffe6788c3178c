import { VitrineError } from "../../errors.js";
import type { EngineState } from "./client-contract.js";

/** Why an engine in this state takes no request, `engine_not_ready`. */
export function notReady(state: EngineState): VitrineError {
  return new VitrineError("engine_not_ready", reasonOf(state));
}

function reasonOf(state: EngineState): string {
  switch (state.kind) {
    case "failed":
      return `The engine could not be started: ${state.error.message}`;
    case "restarting":
      return "The engine process died and is being restarted; send the request again in a few seconds.";
    default:
      return "The model is still loading; send the request again once /ready answers 200.";
  }
}
