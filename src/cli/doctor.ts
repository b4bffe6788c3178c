import type { Config } from "../config.js";
import { destinationsOf } from "../destinations.js";
import { examine } from "../doctor/examine.js";
import { type DiagnosisStyle, diagnosisText, verdictOf } from "./diagnosis.js";
import { devicesOf } from "./engines.js";
import { machineMemory } from "./machine-memory.js";
import { VERSION } from "./version.js";

/** `vitrine doctor`: looks at everything that `serve` with the same flags would need. True when nothing keeps it from serving. */
export async function doctor(config: Config, { json }: { readonly json: boolean }): Promise<boolean> {
  const examinations = await examine({
    config,
    devices: devicesOf(config),
    destinations: destinationsOf(config),
    memoryLimit: machineMemory(),
  });
  const verdict = verdictOf(examinations);
  const style: DiagnosisStyle = {
    width: process.stdout.columns ?? 100,
    // https://no-color.org
    color: process.stdout.isTTY === true && (process.env.NO_COLOR ?? "") === "",
  };
  const text = json
    ? JSON.stringify({ version: VERSION, ...verdict, examinations }, null, 2)
    : diagnosisText(examinations, style);
  process.stdout.write(`${text}\n`);
  return verdict.healthy;
}
