/** The slow way to read a GPU: `nvidia-smi -q -x`, a process and an XML document for every sample. */
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import type { ChooseGpu, NoSampler } from "./nvml-sampler.js";
import type { GpuReading, GpuSampler } from "./sample.js";
import { listedGpus, readingOf } from "./smi-document.js";

const PERIOD_MS = 5000;
/** It takes a second or two on a machine with many GPUs; with a broken driver it may never end. */
const PATIENCE_MS = 10_000;

type ReadDocument = (callback: (error: unknown, document: unknown) => void) => void;

/** A sampler over the nvidia-smi command, or why there is none. */
export async function openNvidiaSmi(choose: ChooseGpu): Promise<GpuSampler | NoSampler> {
  if (!onPath("nvidia-smi")) return { why: "there is no nvidia-smi command" };
  // Loaded here: its XML parser is of no use to a process without a GPU.
  const { default: read } = await import("node-nvidia-smi");
  const sampler = nvidiaSmiSampler(read, choose, Date.now, PATIENCE_MS);
  return (await sampler.sample()) === undefined ? { why: "nvidia-smi gives no reading of that device" } : sampler;
}

/** A sampler over anything that reads documents the way `node-nvidia-smi` does. Nobody waits longer than `patienceMs`. */
export function nvidiaSmiSampler(
  read: ReadDocument,
  choose: ChooseGpu,
  now: () => number,
  patienceMs: number,
): GpuSampler {
  let underWay: Promise<GpuReading | undefined> | undefined;
  let last: GpuReading | undefined;
  const sample = (): Promise<GpuReading | undefined> => {
    // A hung nvidia-smi must not pile up: whoever asks meanwhile gets the reading that is under way.
    underWay ??= new Promise<GpuReading | undefined>((resolve) => {
      read((error, document) => {
        last = error ? undefined : readingOf(document, choose(listedGpus(document)), now() * 1000);
        resolve(last);
      });
    }).finally(() => {
      underWay = undefined;
    });
    const reading = underWay;
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(undefined), patienceMs).unref();
      void reading.then((document) => {
        clearTimeout(timer);
        resolve(document);
      });
    });
  };
  return { source: "nvidia-smi", periodMs: PERIOD_MS, sample, read: async () => last, close() {} };
}

function onPath(command: string): boolean {
  return (process.env.PATH ?? "").split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, command), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
