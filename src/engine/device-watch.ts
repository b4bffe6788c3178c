import type { DeviceChoice, EngineEvent } from "../protocol.js";
import type { ModelRunner } from "./runner.js";

/** Notices when a runner gives up one of its ways to run, which nothing else shows: its answers stay right. */
export class DeviceWatch {
  readonly #runner: Pick<ModelRunner, "device">;
  #device: DeviceChoice;

  /** @param device as it was told last */
  constructor(runner: Pick<ModelRunner, "device">, device: DeviceChoice) {
    this.#runner = runner;
    this.#device = device;
  }

  /** What is to be told now; undefined where nothing has changed. */
  change(): Extract<EngineEvent, { type: "device" }> | undefined {
    const { replay } = this.#runner.device;
    if (replay === undefined || replay.on === this.#device.replay?.on) return undefined;
    this.#device = { ...this.#device, replay };
    return { type: "device", device: this.#device };
  }
}
