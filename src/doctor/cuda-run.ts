import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { type Finding, ok, problem, warning } from "./finding.js";

/** Whether ONNX Runtime ran a model on a device. */
export type CudaRun = { readonly ran: true } | { readonly ran: false; readonly why: string };

const CHILD = fileURLToPath(new URL("cuda-run-child.js", import.meta.url));

/** Tries it in a process of its own, within `timeoutMs`: a driver that is broken may hang or crash. Never rejects. */
export async function runOnCuda(deviceId: number, timeoutMs: number, childPath: string = CHILD): Promise<CudaRun> {
  try {
    const env = { ...process.env, ORT_DISABLE_TELEMETRY: "1" };
    const options = { env, timeout: timeoutMs, killSignal: "SIGKILL" } as const;
    const { stdout } = await promisify(execFile)(process.execPath, [childPath, String(deviceId)], options);
    return JSON.parse(stdout) as CudaRun;
  } catch (error) {
    const { killed, signal, code } = error as { killed?: boolean; signal?: string | null; code?: unknown };
    const how = killed ? `it took more than ${timeoutMs / 1000} s` : `its process ended (${signal ?? code})`;
    return { ran: false, why: how };
  }
}

export function checkCudaRun(deviceId: number, result: CudaRun, required: boolean): Finding {
  if (result.ran) return ok(`a model ran on cuda:${deviceId}`);
  const cure = "See whether nvidia-smi works and other programs can use the GPU, or ask for --device cpu.";
  return (required ? problem : warning)(`no model runs on cuda:${deviceId}: ${result.why}`, cure);
}
