/** Reads a GPU's state by the best means this machine has: NVML, else the nvidia-smi command, else not at all. */
import { cudaDeviceUuid } from "../../native/cuda-driver.js";
import { openNvidiaSmi } from "./nvidia-smi.js";
import { type ChooseGpu, openNvmlSampler } from "./nvml-sampler.js";
import type { GpuSampler } from "./sample.js";
import { visibleDevice } from "./visible-device.js";

export type { GpuReading, GpuSample, GpuSampler } from "./sample.js";

/**
 * Undefined where no GPU can be read; `tell` then gets the one line that says why, and otherwise how it is read.
 * @param deviceId CUDA's index, as ONNX Runtime counts
 */
export async function openGpuSampler(
  deviceId = 0,
  tell: (line: string) => void = () => {},
): Promise<GpuSampler | undefined> {
  const choose: ChooseGpu = (gpus) => visibleDevice(deviceId, gpus, process.env, cudaDeviceUuid);
  const nvml = await openNvmlSampler(choose);
  if (!("why" in nvml)) {
    tell(`GPU ${deviceId} is read through NVML every ${nvml.periodMs} ms.`);
    return nvml;
  }
  const smi = await openNvidiaSmi(choose);
  if (!("why" in smi)) {
    tell(`GPU ${deviceId} is read by nvidia-smi every ${smi.periodMs / 1000} s (NVML: ${nvml.why}).`);
    return smi;
  }
  tell(`No GPU is watched for CUDA device ${deviceId}: ${nvml.why}; ${smi.why}.`);
  return undefined;
}
