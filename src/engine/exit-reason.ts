import type { WireError } from "../errors.js";
import type { ChildExit } from "./child.js";

/**
 * The death of the engine process, as an error of what it was doing.
 * @param activity continues "The engine process was killed by SIGKILL", without a full stop
 */
export function engineLost({ code, signal }: ChildExit, activity: string): WireError {
  if (code === null && signal === null) {
    return { code: "engine_lost", message: "The engine process could not be started; the log says why." };
  }
  const how = signal === null ? `exited with code ${code}` : `was killed by ${signal}`;
  // The client kills only an engine that it shuts down, and that death is never reported with this.
  const hint =
    signal === "SIGKILL"
      ? " Vitrine did not send that signal; the system's out-of-memory killer is the likely cause, and a smaller dtype " +
        "or fewer sequences at once would need less memory."
      : "";
  return { code: "engine_lost", message: `The engine process ${how}${activity}.${hint}` };
}
