import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { nvidiaSmiSampler, sampleOf } from "../../../src/gpu/nvidia-smi.js";

const require = createRequire(import.meta.url);

/** Parsed as `node-nvidia-smi` parses it. */
function parse(xml: string): unknown {
  // The parser is a dependency of node-nvidia-smi, not ours: found from there.
  const { parseString } = createRequire(require.resolve("node-nvidia-smi"))("xml2js") as {
    parseString(xml: string, options: object, callback: (error: unknown, document: unknown) => void): void;
  };
  let parsed: unknown;
  parseString(xml, { explicitArray: false, trim: true, async: false }, (error, document) => {
    if (error) throw error;
    parsed = document;
  });
  return parsed;
}

const gpu = (uuid: string, utilization: string, power: string) => `
  <gpu id="00000000:19:00.0">
    <product_name>NVIDIA H200</product_name>
    <uuid>${uuid}</uuid>
    <fb_memory_usage>
      <total>143771 MiB</total>
      <reserved>561 MiB</reserved>
      <used>2048 MiB</used>
      <free>141162 MiB</free>
    </fb_memory_usage>
    <utilization><gpu_util>${utilization}</gpu_util><memory_util>3 %</memory_util></utilization>
    ${power}
  </gpu>`;

const log = (...gpus: readonly string[]) =>
  parse(`<?xml version="1.0" ?>
<nvidia_smi_log>
  <driver_version>570.133.20</driver_version>
  <attached_gpus>${gpus.length}</attached_gpus>${gpus.join("")}
</nvidia_smi_log>`);

const NEW_POWER = `<gpu_power_readings>
      <average_power_draw>101.50 W</average_power_draw>
      <instant_power_draw>117.25 W</instant_power_draw>
    </gpu_power_readings>`;
const OLD_POWER = "<power_readings><power_state>P0</power_state><power_draw>75.93 W</power_draw></power_readings>";

describe("nvidia-smi document", () => {
  it("gives utilization, memory in bytes and power of the one device", () => {
    assert.deepEqual(sampleOf(log(gpu("GPU-a", "37 %", NEW_POWER)), 0, 5), {
      at: 5,
      utilization: 37,
      memoryUsedBytes: 2048 * 2 ** 20,
      powerWatts: 117.25,
    });
  });

  it("picks a device by index and by UUID, and reads power as older drivers name it", () => {
    const two = log(gpu("GPU-a", "37 %", NEW_POWER), gpu("GPU-b", "0 %", OLD_POWER));
    const second = { at: 5, utilization: 0, memoryUsedBytes: 2048 * 2 ** 20, powerWatts: 75.93 };
    assert.deepEqual(sampleOf(two, 1, 5), second);
    assert.deepEqual(sampleOf(two, "GPU-b", 5), second);
    assert.equal(sampleOf(two, 2, 5), undefined);
    assert.equal(sampleOf(two, "GPU-c", 5), undefined);
  });

  it("leaves power out where the device does not report it", () => {
    const noPower = "<gpu_power_readings><power_draw>N/A</power_draw></gpu_power_readings>";
    assert.deepEqual(sampleOf(log(gpu("GPU-a", "1 %", noPower)), 0, 5), {
      at: 5,
      utilization: 1,
      memoryUsedBytes: 2048 * 2 ** 20,
    });
  });

  it("is no sample without utilization, without devices, or of another shape", () => {
    assert.equal(sampleOf(log(gpu("GPU-a", "N/A", NEW_POWER)), 0, 5), undefined);
    assert.equal(sampleOf(log(), 0, 5), undefined);
    for (const other of [undefined, null, "text", {}, { nvidia_smi_log: "" }]) {
      assert.equal(sampleOf(other, 0, 5), undefined);
    }
  });
});

describe("nvidia-smi sampler", () => {
  it("runs one nvidia-smi at a time, however often it is asked", async () => {
    const callbacks: ((error: unknown, document: unknown) => void)[] = [];
    const sampler = nvidiaSmiSampler(
      (callback) => callbacks.push(callback),
      0,
      () => 7,
    );
    const both = [sampler.sample(), sampler.sample()];
    assert.equal(callbacks.length, 1);
    callbacks[0]?.(null, log(gpu("GPU-a", "37 %", NEW_POWER)));
    const [first, second] = await Promise.all(both);
    assert.equal(first?.at, 7000);
    assert.deepEqual(second, first);
    void sampler.sample();
    assert.equal(callbacks.length, 2);
  });

  it("gives no sample when nvidia-smi fails", async () => {
    const sampler = nvidiaSmiSampler(
      (callback) => callback(new Error("exit status 9"), undefined),
      0,
      () => 7,
    );
    assert.equal(await sampler.sample(), undefined);
  });
});
