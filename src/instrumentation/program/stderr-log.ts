import { writeSync } from "node:fs";
import type { TracingOptions } from "../../tracing/tracing.js";

/**
 * Lines of ours in a program's output: on stderr, and only of what is not as it should be. Written at once, since the
 * process may be about to end.
 */
export const logToStderr: TracingOptions["log"] = (level, message) => {
  if (level === "info") return;
  try {
    writeSync(2, `vitrine: ${message}\n`);
  } catch {
    // Nobody reads it.
  }
};
