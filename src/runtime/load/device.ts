import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { VitrineError } from "../../errors.js";
import type { DeviceChoice, DeviceRequest } from "../../protocol.js";
import { reasonOf } from "../files/json-file.js";

/** What of CUDA is missing, in words that fit "CUDA is not available: …"; undefined where it may work. */
export interface CudaProbe {
  /** ONNX Runtime's provider library. */
  readonly library: string | undefined;
  /** An NVIDIA device that this process can see. */
  readonly device: string | undefined;
}

/**
 * Chooses where a model runs. `auto` takes CUDA where its provider library and a device are, else the CPU, and says
 * why. Throws `device_unavailable` when CUDA is asked for by name and the library is missing.
 */
export function chooseDevice(requested: DeviceRequest, probe: CudaProbe = probeCuda()): DeviceChoice {
  if (requested === "cpu") return { requested, provider: "cpu", reason: "The CPU was asked for." };
  if (requested === "auto") {
    const missing = probe.library ?? probe.device;
    return missing === undefined
      ? {
          requested,
          provider: "cuda",
          deviceId: 0,
          reason: "ONNX Runtime's CUDA provider and an NVIDIA device are here.",
        }
      : { requested, provider: "cpu", reason: `CUDA is not available: ${missing}.` };
  }
  if (probe.library !== undefined) {
    throw new VitrineError(
      "device_unavailable",
      `CUDA is not available: ${probe.library}. Fetch it with "ONNXRUNTIME_NODE_INSTALL=true node ` +
        'node_modules/onnxruntime-node/script/install.js", use the GPU image, or ask for --device cpu.',
      { param: "device" },
    );
  }
  const deviceId = requested === "cuda" ? 0 : Number(requested.slice("cuda:".length));
  return { requested, provider: "cuda", deviceId, reason: `CUDA device ${deviceId} was asked for.` };
}

/** The CPU, after `auto` had chosen CUDA and CUDA did not start. */
export function fallBackToCpu({ requested }: Pick<DeviceChoice, "requested">, failure: unknown): DeviceChoice {
  return { requested, provider: "cpu", reason: `CUDA did not start: ${reasonOf(failure)}` };
}

/** Looks for files only: cheap, and nothing native is loaded. */
export function probeCuda(): CudaProbe {
  if (process.platform !== "linux" || process.arch !== "x64") {
    const here = `${process.platform}/${process.arch}`;
    return { library: `onnxruntime-node has a CUDA provider for linux/x64 only, this is ${here}`, device: undefined };
  }
  const name = "libonnxruntime_providers_cuda.so";
  return {
    library: existsSync(join(bindingDirectory(), name)) ? undefined : `onnxruntime-node is installed without ${name}`,
    device: DEVICE_FILES.some((path) => existsSync(path)) ? undefined : "there is no NVIDIA device (/dev/nvidiactl)",
  };
}

/** A driver on bare metal or in a container, under WSL, and on Jetson. */
const DEVICE_FILES = ["/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg", "/dev/nvhost-gpu"];

function bindingDirectory(): string {
  const main = createRequire(import.meta.url).resolve("onnxruntime-node");
  return join(dirname(main), "..", "bin", "napi-v6", process.platform, process.arch);
}
