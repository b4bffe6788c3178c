import assert from "node:assert/strict";
import { availableParallelism } from "node:os";
import { loadOptions } from "../../../src/cli/engines.js";
import { loadConfig } from "../../../src/config.js";

const options = (devices: string | undefined, device: "auto" | "cpu" | "cuda:0", more: Record<string, string> = {}) =>
  loadOptions("m", loadConfig(devices === undefined ? { ...more } : { devices, ...more }, {}), device);

describe("what engines run with", () => {
  it("divides a default amount of memory among those that share the machine's", () => {
    const { kvMemory: alone = 0 } = options(undefined, "auto");
    const { kvMemory: shared = 0 } = options("cpu,cuda:0,cpu", "cpu");
    assert.ok(Math.abs(shared - alone / 2) <= 1, `${shared} is half of ${alone}`);
    assert.equal(options("cpu,cuda:0,cpu", "cuda:0").kvMemory, alone);
    assert.equal(options("cpu,cpu", "cpu", { kvMemory: "1G" }).kvMemory, 2 ** 30, "what was given is for each");
  });

  it("divides the cores, too, unless a number of threads was given", () => {
    assert.equal(options(undefined, "auto").threads, 0);
    assert.equal(options("cpu,cuda:0", "cpu").threads, 0);
    assert.equal(options("cpu,cpu", "cpu").threads, Math.max(1, Math.floor(availableParallelism() / 2)));
    assert.equal(options("cpu,cuda:0,cpu", "cuda:0").threads, 0);
    assert.equal(options("cpu,cpu", "cpu", { threads: "3" }).threads, 3);
  });
});
