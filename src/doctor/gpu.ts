import { type CudaEnvironment, visibleDevice } from "../gpu/visible-device.js";
import { type Finding, ok, problem, size, warning } from "./finding.js";
import type { GpuFacts, GpuProbe, LostGpu } from "./gpu-probe.js";

/** Of the devices asked for, those that are CUDA's, by number; `auto` is `undefined`, and takes what is there. */
export interface WantedGpus {
  readonly deviceIds: readonly number[];
  readonly auto: boolean;
  readonly environment: CudaEnvironment;
}

const DRIVER_CURE =
  "Install NVIDIA's driver, and in a container start it with --gpus all and the NVIDIA Container Toolkit; or ask for --device cpu.";

/** The driver and the GPUs it knows. */
export function checkGpus(probe: GpuProbe, wanted: WantedGpus): Finding[] {
  const named = wanted.deviceIds.length > 0;
  if (probe.kind === "no-library") {
    if (named) return [problem("there is no NVIDIA driver (libnvidia-ml.so.1)", DRIVER_CURE)];
    return [ok(`no NVIDIA driver${wanted.auto ? ": --device auto takes the CPU" : ", and none is asked for"}`)];
  }
  if (probe.kind === "broken") {
    const cure =
      "Try nvidia-smi: where it fails too, load the driver again (reboot after an upgrade), or ask for --device cpu.";
    return [named ? problem(`the NVIDIA driver does not work: ${probe.why}`, cure) : warning(probe.why, cure)];
  }
  const { driverVersion, cudaVersion, gpus } = probe;
  if (gpus.length === 0) {
    const what = `driver ${driverVersion} knows no GPU`;
    return [named ? problem(what, DRIVER_CURE) : warning(what, DRIVER_CURE)];
  }
  const places = wanted.deviceIds.map((id) => ({ id, place: placeOf(id, gpus, wanted.environment) }));
  const missing = places.filter(({ place }) => place === undefined);
  const needed = new Set(places.map(({ place }) => place));
  const { CUDA_VISIBLE_DEVICES: visible } = wanted.environment;
  return [
    ok(`driver ${driverVersion}, for CUDA ${cudaVersion} and older`),
    ...gpus.flatMap((gpu, index) => ("lost" in gpu ? [lostGpu(gpu, index, needed.has(index))] : ofGpu(gpu, index))),
    ...(visible === undefined ? [] : [ok(`CUDA is shown these alone: CUDA_VISIBLE_DEVICES=${visible}`)]),
    ...missing.map(({ id }) =>
      problem(`there is no cuda:${id}`, "Ask for a device that is there, counted from cuda:0."),
    ),
  ];
}

/** Whether it exists does not depend on CUDA's order, and neither does which it is where GPUs are alike. */
export function placeOf(
  deviceId: number,
  gpus: readonly (GpuFacts | LostGpu)[],
  environment: CudaEnvironment,
): number | string | undefined {
  const listed = gpus.map((gpu) => ("lost" in gpu ? { uuid: undefined, name: undefined } : gpu));
  return visibleDevice(deviceId, listed, { ...environment, CUDA_DEVICE_ORDER: "PCI_BUS_ID" }, () => undefined);
}

function lostGpu({ lost }: LostGpu, index: number, needed: boolean): Finding {
  const cure = "Reset it (nvidia-smi --gpu-reset) or reboot; dmesg tells what happened to it.";
  return (needed ? problem : warning)(`GPU ${index} does not answer: ${lost}`, cure);
}

function ofGpu(gpu: GpuFacts, index: number): Finding[] {
  const { memoryTotal, memoryUsed = 0 } = gpu;
  const memory = memoryTotal === undefined ? "" : `, ${size(memoryTotal - memoryUsed)} of ${size(memoryTotal)} free`;
  const others = gpu.processes.length === 0 ? "" : `, in use by process ${gpu.processes.join(", ")}`;
  const slow = gpu.throttled.filter((reason) => reason.startsWith("hw_") || reason === "sw_thermal_slowdown");
  const named = `GPU ${index}`;
  return [
    ok(`${named}: ${gpu.name}${memory}${others}`),
    ...(slow.length > 0
      ? [warning(`${named} is slowed down (${slow.join(", ")})`, "Look after its cooling and power supply.")]
      : []),
    ...(gpu.eccUncorrected > 0
      ? [
          warning(
            `${named} had ${gpu.eccUncorrected} uncorrected memory errors`,
            "Reset it, and have it replaced if they come back.",
          ),
        ]
      : []),
    ...(gpu.migEnabled
      ? [ok(`${named} is split into MIG slices: name one in CUDA_VISIBLE_DEVICES (nvidia-smi -L lists them)`)]
      : []),
  ];
}
