import type { RequestEvent } from "../protocol.js";
import type { DeviceCost } from "../tracing/contract.js";

interface Mark {
  readonly joules: number;
  readonly at: number;
}

/** What the choices of one request took of their devices: of each phase its device seconds, at the device's mean power meanwhile. */
export class RequestCost {
  deviceSeconds = 0;
  /** Undefined where no device's power is known. */
  joules: number | undefined;
  /** By choice: where it runs, and what that device had consumed when the phase began. */
  readonly #running = new Map<number, { readonly device: string; mark: Mark | undefined }>();

  /** @param now seconds of the wall clock */
  constructor(
    private readonly cost: Pick<DeviceCost, "joules">,
    private readonly now: () => number = () => Date.now() / 1e3,
  ) {}

  observe(choice: number, event: RequestEvent): void {
    if (event.type === "admitted") {
      const device = event.run?.device;
      const name = device?.provider === "cuda" ? `cuda:${device.deviceId ?? 0}` : (device?.provider ?? "");
      this.#running.set(choice, { device: name, mark: this.#mark(name) });
    } else if (event.type === "prefilled" || event.type === "preempted" || event.type === "ended") {
      // The engine says with the end of each phase what it took.
      this.#add(choice, event.forward?.deviceSeconds ?? 0);
    }
  }

  #add(choice: number, deviceSeconds: number): void {
    this.deviceSeconds += deviceSeconds;
    const running = this.#running.get(choice);
    if (running === undefined) return;
    const began = running.mark;
    const ended = this.#mark(running.device);
    running.mark = ended;
    if (began === undefined || ended === undefined || ended.at <= began.at) return;
    const watts = (ended.joules - began.joules) / (ended.at - began.at);
    this.joules = (this.joules ?? 0) + deviceSeconds * Math.max(0, watts);
  }

  #mark(device: string): Mark | undefined {
    const joules = this.cost.joules(device);
    return joules === undefined ? undefined : { joules, at: this.now() };
  }
}
