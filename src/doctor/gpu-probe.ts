import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

/** Fallen off the bus, or in need of a reset: it has its place among the others, and nothing else. */
export interface LostGpu {
  readonly lost: string;
}

export interface GpuFacts {
  readonly name: string;
  readonly uuid: string;
  /** Bytes. */
  readonly memoryTotal?: number;
  readonly memoryUsed?: number;
  readonly processes: readonly number[];
  readonly throttled: readonly string[];
  /** Since the driver was loaded. */
  readonly eccUncorrected: number;
  readonly migEnabled: boolean;
}

/** What NVIDIA's driver says of itself. */
export type GpuProbe =
  | { readonly kind: "no-library" }
  | { readonly kind: "broken"; readonly why: string }
  | {
      readonly kind: "driver";
      readonly driverVersion: string;
      /** Newest CUDA that it runs, `13.0`. */
      readonly cudaVersion: string;
      readonly gpus: readonly (GpuFacts | LostGpu)[];
    };

const CHILD = fileURLToPath(new URL("gpu-probe-child.js", import.meta.url));

/** Asks in a process of its own, within `timeoutMs`. Never rejects. */
export async function probeGpus(timeoutMs: number, childPath: string = CHILD): Promise<GpuProbe> {
  try {
    const options = { timeout: timeoutMs, killSignal: "SIGKILL" } as const;
    const { stdout } = await promisify(execFile)(process.execPath, [childPath], options);
    return JSON.parse(stdout) as GpuProbe;
  } catch (error) {
    const { killed, signal, code } = error as { killed?: boolean; signal?: string | null; code?: unknown };
    const how = killed ? `did not answer within ${timeoutMs / 1000} s` : `ended its process (${signal ?? code})`;
    return { kind: "broken", why: `NVML ${how}` };
  }
}
