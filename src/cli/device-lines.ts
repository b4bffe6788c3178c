import type { DeviceChoice } from "../protocol.js";

/** What a model runs on, and why, for the start's output. */
export function deviceLines({ provider, deviceId, reason, runtime, replay }: DeviceChoice): string[] {
  return [
    `Device    ${deviceId === undefined ? provider : `${provider}:${deviceId}`}: ${reason}`,
    ...(runtime === undefined ? [] : [`Runtime   ${runtime.kind}: ${runtime.reason}`]),
    ...(replay === undefined ? [] : [`Replay    ${replay.on ? "on" : "off"}: ${replay.reason}`]),
  ];
}
