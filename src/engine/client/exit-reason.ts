import type { WireError } from "../../errors.js";
import type { DeviceRequest } from "../../protocol.js";
import type { ChildExit } from "./child.js";
import { isCrash } from "./native-failure.js";

/** How an engine process ended, and whether the kernel counted an out-of-memory kill then. */
export interface EngineDeath extends ChildExit {
  readonly outOfMemory: boolean;
}

const LESS_MEMORY = "smaller dtype, less --kv-memory or fewer sequences at once would need less memory.";

/**
 * The death of the engine process, as an error of what it was doing.
 * @param activity continues "The engine process was killed by SIGKILL", without a full stop
 */
export function engineLost(death: EngineDeath, activity: string): WireError {
  if (death.code === null && death.signal === null) {
    return { code: "engine_lost", message: "The engine process could not be started; the log says why." };
  }
  const [how, hint] = reasonOf(death);
  return { code: "engine_lost", message: `The engine process ${how}${activity}.${hint}` };
}

/** The same of one that had not loaded yet. A crash on CUDA is a reason to look at that. */
export function lostWhileLoading(death: EngineDeath, device: DeviceRequest): WireError {
  const { code, message } = engineLost(death, " while it loaded the model");
  if (!isCrash(death.signal) || !device.startsWith("cuda")) return { code, message };
  return {
    code,
    message: `${message} "vitrine doctor --device cuda" says whether CUDA works; or ask for --device cpu.`,
  };
}

function reasonOf({ code, signal, outOfMemory }: EngineDeath): readonly [how: string, hint: string] {
  if (signal === null) return [`exited with code ${code}`, ""];
  if (signal !== "SIGKILL") return [`was killed by ${signal}`, ""];
  if (outOfMemory) return ["was killed by the kernel's out-of-memory killer", ` A ${LESS_MEMORY}`];
  // The client kills only an engine that it shuts down, and that death is never reported with this.
  return [
    "was killed by SIGKILL",
    ` Vitrine did not send that signal; the system's out-of-memory killer is the likely cause, and a ${LESS_MEMORY}`,
  ];
}
