/** Of one device: microjoules up to the last sample, when that was (microseconds since the epoch), microwatts since. */
const CELLS = 3;

/**
 * What devices have consumed since they were first sampled, in shared memory: the export thread samples, and requests of
 * which no span is kept count as well. A sample holds until the next one. A reading that meets a writing is off by one sample's
 * period at most, so there is no lock.
 */
export class DeviceEnergy {
  readonly #cells: BigInt64Array;

  constructor(readonly memory: SharedArrayBuffer) {
    this.#cells = new BigInt64Array(memory);
  }

  static of(devices: number): DeviceEnergy {
    return new DeviceEnergy(new SharedArrayBuffer(devices * CELLS * 8));
  }

  /**
   * @param device its place among the devices
   * @param at microseconds since the epoch, rising
   * @param drawn joules since the sample before, where the device itself counts them; else that sample's power held
   */
  add(device: number, at: number, watts: number, drawn?: number): void {
    const first = device * CELLS;
    const counted = drawn === undefined ? undefined : Number(Atomics.load(this.#cells, first)) / 1e6 + drawn;
    const joules = counted ?? this.joules(device, at) ?? 0;
    Atomics.store(this.#cells, first, BigInt(Math.round(joules * 1e6)));
    Atomics.store(this.#cells, first + 2, BigInt(Math.round(watts * 1e6)));
    Atomics.store(this.#cells, first + 1, BigInt(Math.round(at)));
  }

  /** Up to `at`; undefined where no power is known. */
  joules(device: number, at: number): number | undefined {
    const [joules = 0, since = 0, watts = 0] = [0, 1, 2].map((cell) =>
      Number(Atomics.load(this.#cells, device * CELLS + cell)),
    );
    return since === 0 ? undefined : joules / 1e6 + (watts / 1e6) * Math.max(0, (at - since) / 1e6);
  }
}
