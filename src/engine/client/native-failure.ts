import type { WireError } from "../../errors.js";
import type { LoadOptions } from "../../protocol.js";
import type { ChildExit } from "./child.js";

/** What native code dies of. */
const CRASHES: ReadonlySet<NodeJS.Signals> = new Set(["SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL", "SIGFPE"]);

/**
 * Options for another process where the native runtime, as `auto` chose it on a device, took this one with it as it
 * loaded; undefined where it did not. A device may be of no more use to a process in which a run failed.
 * @param told how its load failed, where it lived to tell
 */
export function withoutNative(
  options: LoadOptions,
  { signal }: ChildExit,
  told: WireError | undefined,
): LoadOptions | undefined {
  const { runtime = "auto", device, nativeFailure, cudaFailure } = options;
  if (runtime !== "auto" || device === "cpu" || nativeFailure !== undefined || cudaFailure !== undefined)
    return undefined;
  if (told !== undefined) return { ...options, nativeFailure: told.message };
  if (!isCrash(signal)) return undefined;
  return { ...options, nativeFailure: `Loading with the native runtime ended in ${signal}.` };
}

/** Options for another process where `auto` may have chosen CUDA, and the process crashed whatever the runtime. */
export function withoutCuda(options: LoadOptions, { signal }: ChildExit): LoadOptions | undefined {
  if (options.device !== "auto" || options.cudaFailure !== undefined || !isCrash(signal)) return undefined;
  const { nativeFailure: _, ...others } = options;
  return { ...others, cudaFailure: `loading a model there ended in ${signal}.` };
}

export const isCrash = (signal: NodeJS.Signals | null): signal is NodeJS.Signals =>
  signal !== null && CRASHES.has(signal);
