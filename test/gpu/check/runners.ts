import type { DeviceChoice, Dtype, RuntimeRequest } from "../../../src/protocol.js";
import { createRunner } from "../../../src/runtime/load/load-model.js";
import type { RehearsingRunner } from "../../../src/runtime/native/rehearsal.js";
import type { CheckSettings } from "./settings.js";

export interface WantedRunner {
  readonly modelDir: string;
  readonly dtype: Dtype;
  readonly device: CheckSettings["device"];
  readonly runtime: Exclude<RuntimeRequest, "auto">;
  readonly maxSequences: number;
  /** Decode steps as CUDA graphs; true when absent. */
  readonly replay?: boolean;
}

/** By name on both sides: nothing falls back. 4-bit products stay as the file has them, for the CPU to compare with. */
export function openRunner({ device, ...wanted }: WantedRunner): Promise<RehearsingRunner> {
  const reason = "It is checked.";
  const choice: DeviceChoice =
    device === "cpu"
      ? { requested: device, provider: "cpu", reason }
      : {
          requested: device,
          provider: "cuda",
          deviceId: 0,
          reason,
          runtime: { requested: wanted.runtime, kind: wanted.runtime, reason },
        };
  return createRunner({ ...wanted, device, threads: 0, fastInt4: false }, choice);
}
