import type { DeviceChoice } from "../../protocol.js";
import type { SpanAttributes } from "./open-span.js";

/** `cuda:0`, or `cpu`. */
export function deviceName(device: DeviceChoice | undefined): string | undefined {
  return device?.provider === "cuda" ? `cuda:${device.deviceId ?? 0}` : device?.provider;
}

/** Where its KV cache lies, in the same words. */
export function cacheDeviceName(device: DeviceChoice | undefined): string | undefined {
  return device?.kvCache === "cuda" ? deviceName(device) : device?.kvCache;
}

/** Where it ran, and why there. */
export function deviceAttributes(device: DeviceChoice | undefined): SpanAttributes {
  return {
    "ai.device": deviceName(device),
    "ai.device.reason": device?.reason,
    "ai.runtime": device?.runtime?.kind,
    "ai.runtime.reason": device?.runtime?.reason,
    "ai.cuda_graphs": device?.replay && (device.replay.on ? "on" : "off"),
    "ai.cuda_graphs.reason": device?.replay?.reason,
  };
}
