/** All checks of one configuration, on this machine. */
import { existsSync, readFileSync } from "node:fs";
import { freemem, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { Config } from "../config.js";
import { VitrineError } from "../errors.js";
import type { DeviceChoice, DeviceRequest } from "../protocol.js";
import { createSender } from "../tracing/export/create-sender.js";
import type { Destination } from "../tracing/export/destination.js";
import { checkSpool } from "../tracing/export/spool-lock.js";
import { type CollectorWorld, checkCollector } from "./collector.js";
import { checkCudaLibraries } from "./cuda-libraries.js";
import { checkCudaRun, runOnCuda } from "./cuda-run.js";
import { readDynamicSection } from "./elf.js";
import { type Finding, ok, problem } from "./finding.js";
import { checkGpus, placeOf } from "./gpu.js";
import { type GpuProbe, probeGpus } from "./gpu-probe.js";
import { readLoaderCache } from "./loader-cache.js";
import { checkMemory } from "./memory.js";
import { checkModel } from "./model.js";
import { checkNode, thisNode } from "./node.js";
import { checkOnnxRuntime } from "./onnxruntime.js";
import { portHolder } from "./port-holder.js";
import { checkPort, tryListen } from "./ports.js";
import { checkThreads, shareWithThread } from "./threads.js";
import { askForTrace } from "./zipkin-query.js";

/** What one subject's checks found. */
export interface Examination {
  readonly subject: string;
  readonly findings: readonly Finding[];
}

export interface Patient {
  readonly config: Config;
  readonly devices: readonly DeviceRequest[];
  readonly destinations: readonly Destination[];
  /** Bytes that this process may use. */
  readonly memoryLimit: number;
}

const CHECK_MS = 40_000;
const GPU_PROBE_MS = 15_000;
/** Loading CUDA's libraries for the first time takes seconds. */
const CUDA_RUN_MS = 30_000;

/** Looks at everything at once, and gives each subject its time at most. Never rejects. */
export async function examine(patient: Patient): Promise<readonly Examination[]> {
  const gpus = await probeGpus(GPU_PROBE_MS);
  const checks: Record<string, () => Finding[] | Promise<Finding[]>> = {
    Node: async () => [...checkNode(thisNode()), ...(await checkThreads(shareWithThread))],
    "ONNX Runtime": checkOrt,
    GPU: () => checkGpus(gpus, wantedGpus(patient.devices)),
    CUDA: () => checkCuda(gpus, patient.devices),
    Memory: () => checkMemory({ total: totalmem(), available: availableMemory(), limit: patient.memoryLimit }),
    Model: () => checkModelOf(patient, gpus),
    Ports: () => checkPorts(patient.config),
    Traces: () => checkTraces(patient),
  };
  return Promise.all(
    Object.entries(checks).map(async ([subject, check]) => ({ subject, findings: await withinTime(check, CHECK_MS) })),
  );
}

/** What a check throws, or does not come to, is a finding of its own. */
export async function withinTime(
  check: () => Finding[] | Promise<Finding[]>,
  limitMs: number,
): Promise<readonly Finding[]> {
  const abort = new AbortController();
  const late = pause(limitMs, undefined, { signal: abort.signal }).then(
    () => [problem(`the check took longer than ${limitMs / 1000} s`, "Try again when the machine has less to do.")],
    () => [],
  );
  const checked = Promise.resolve()
    .then(check)
    .catch((error: unknown) => [
      problem(error instanceof Error ? error.message : String(error), "Report this: the check itself failed."),
    ]);
  try {
    return await Promise.race([checked, late]);
  } finally {
    abort.abort();
  }
}

/** Loaded here: what does not load is to be told, not thrown at the import. */
function checkOrt(): Promise<Finding[]> {
  return checkOnnxRuntime({
    telemetry: process.env.ORT_DISABLE_TELEMETRY,
    loadKoffi: () => import("../../native/koffi.js"),
    selfTest: async () => (await import("../../native/ort-self-test.js")).selfTestOrt(),
  });
}

export function wantedGpus(devices: readonly DeviceRequest[]) {
  const deviceIds = devices.flatMap((device) =>
    device === "cuda" ? [0] : device.startsWith("cuda:") ? [Number(device.slice("cuda:".length))] : [],
  );
  return { deviceIds, auto: devices.includes("auto"), environment: process.env };
}

async function checkCuda(gpus: GpuProbe, devices: readonly DeviceRequest[]): Promise<Finding[]> {
  if (process.platform !== "linux" || process.arch !== "x64") {
    return [ok("onnxruntime-node has a CUDA provider for linux/x64 only")];
  }
  const { findOrtLibrary } = await import("../../native/ort-library.js");
  const provider = join(dirname(findOrtLibrary()), "libonnxruntime_providers_cuda.so");
  const cache = "/etc/ld.so.cache";
  const { deviceIds, auto } = wantedGpus(devices);
  const required = deviceIds.length > 0;
  const found = checkCudaLibraries({
    provider: existsSync(provider) ? provider : undefined,
    gpus,
    required,
    libraryPath: process.env.LD_LIBRARY_PATH,
    cache: existsSync(cache) ? readLoaderCache(readFileSync(cache)) : new Map(),
    exists: existsSync,
    dynamicSection: readDynamicSection,
  });
  // What is amiss already would only fail again here.
  const usable = existsSync(provider) && found.every(({ status }) => status === "ok");
  const tried = !usable ? [] : required ? deviceIds : auto && hasGpu(gpus) ? [0] : [];
  const runs = tried.map(async (id) => checkCudaRun(id, await runOnCuda(id, CUDA_RUN_MS), required));
  return [...found, ...(await Promise.all(runs))];
}

const hasGpu = (gpus: GpuProbe): boolean => gpus.kind === "driver" && gpus.gpus.length > 0;

/** The kernel's own estimate; `freemem` leaves out what the page cache would give back. */
function availableMemory(): number {
  try {
    const kib = /^MemAvailable:\s+(\d+) kB/m.exec(readFileSync("/proc/meminfo", "utf8"))?.[1];
    return kib === undefined ? freemem() : Number(kib) * 1024;
  } catch {
    return freemem();
  }
}

function checkModelOf({ config, devices, memoryLimit }: Patient, gpus: GpuProbe): Promise<Finding[]> {
  const provider = providerFor(devices, gpus);
  const hostFree = Math.min(availableMemory(), memoryLimit);
  const { deviceIds, environment } = wantedGpus(devices);
  const gpu =
    gpus.kind === "driver" ? gpus.gpus[Number(placeOf(deviceIds[0] ?? 0, gpus.gpus, environment))] : undefined;
  const { memoryTotal: total, memoryUsed = 0 } = gpu === undefined || "lost" in gpu ? {} : gpu;
  const gpuMemory = total === undefined ? undefined : { total, free: total - memoryUsed };
  return checkModel({
    model: config.model,
    dtype: config.dtype,
    provider,
    memory: provider === "cuda" ? gpuMemory : { total: memoryLimit, free: hostFree },
    kvMemory:
      config.kvMemory !== "auto"
        ? { bytes: config.kvMemory }
        : provider === "cuda"
          ? { gpuShare: config.gpuMemoryUtilization }
          : { bytes: Math.floor(memoryLimit / 4) },
  });
}

function providerFor(devices: readonly DeviceRequest[], gpus: GpuProbe): DeviceChoice["provider"] {
  const { deviceIds, auto } = wantedGpus(devices);
  return deviceIds.length > 0 || (auto && hasGpu(gpus)) ? "cuda" : "cpu";
}

function checkPorts({ host, port, adminPort }: Config): Promise<Finding[]> {
  const questions = [
    { option: "--port", host, port } as const,
    ...(adminPort === undefined ? [] : [{ option: "--admin-port", host: "127.0.0.1", port: adminPort } as const]),
  ];
  return Promise.all(questions.map((question) => checkPort(question, { tryListen, holder: portHolder })));
}

async function checkTraces({ config, destinations }: Patient): Promise<Finding[]> {
  const kept = config.traceStore === "on" ? [ok("the last traces are kept in memory, under /zipkin")] : [];
  if (destinations.length === 0) return [ok("no collector is configured"), ...kept];
  const world: CollectorWorld = {
    open: (destination) => createSender(destination, { localEndpoint: { serviceName: config.serviceName } }, () => {}),
    readBack: askForTrace,
    now: Date.now,
    pause: (ms) => pause(ms),
  };
  const sent = await Promise.all(destinations.map((each) => checkCollector(each, config.serviceName, world)));
  return [...sent.flat(), ...destinations.flatMap(spoolOf), ...kept];
}

function spoolOf({ spool }: Destination): Finding[] {
  if (spool === undefined) return [];
  try {
    checkSpool(spool.directory);
    return [ok(`spans may wait in ${spool.directory}`)];
  } catch (error) {
    if (!(error instanceof VitrineError)) throw error;
    return [problem(error.message.replace(/\.$/, ""), "Give --trace-spool a directory that this user may write to.")];
  }
}
