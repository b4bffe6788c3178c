import assert from "node:assert/strict";
import { heedRotaryPositions, rotaryShift, withRopeSwitch } from "../../../src/runtime/rope-switch.js";
import { FakeRunner } from "../../support/fake-runner.js";

const JOINED = { rotaryPositions: { name: "rotary_position_ids", type: "int64" } } as const;

describe("rotaryShift", () => {
  it("is the length of the short table beyond it", () => {
    assert.deepEqual(
      [1, 8, 9, 20].map((length) => rotaryShift(8, length)),
      [0, 0, 8, 8],
    );
    assert.equal(rotaryShift(undefined, 1000), 0);
  });
});

describe("heedRotaryPositions", () => {
  const setting = (provider: "cpu" | "cuda", input: string): string | undefined => {
    const environment: NodeJS.ProcessEnv = {};
    const node = { operator: "GroupQueryAttention", domain: "com.microsoft", inputs: ["q", input], outputs: [] };
    heedRotaryPositions({ nodes: [node] }, { requested: "auto", provider, reason: "" }, environment);
    return environment.ORT_DISABLE_FLASH_DECODE;
  };

  it("turns off the attention that heeds none, for graphs that are fed them, on CUDA", () => {
    assert.equal(setting("cuda", "rotary_position_ids"), "1");
    assert.equal(setting("cuda", "position_ids"), undefined);
    assert.equal(setting("cpu", "rotary_position_ids"), undefined);
  });
});

describe("withRopeSwitch", () => {
  const open = () => {
    const fake = new FakeRunner();
    const runner = withRopeSwitch(fake, JOINED, 8);
    runner.reserve(4, 64);
    const feed = async (slot: number, past: number, ...tokens: number[]) => {
      await runner.run([{ slot, tokens: Int32Array.from(tokens), past }]);
      return fake.runs.at(-1)?.[0];
    };
    return { fake, runner, feed };
  };

  it("computes a sequence again where it grows beyond the switch, once", async () => {
    const { feed } = open();
    await feed(0, 0, 1, 2, 3, 4, 5, 6, 7);
    assert.deepEqual(await feed(0, 7, 8), { slot: 0, tokens: [8], past: 7 });
    assert.deepEqual(await feed(0, 8, 9), { slot: 0, tokens: [1, 2, 3, 4, 5, 6, 7, 8, 9], past: 0 });
    assert.deepEqual(await feed(0, 9, 10), { slot: 0, tokens: [10], past: 9 });
  });

  it("computes the chunks of a long prompt again that were short", async () => {
    const { feed } = open();
    await feed(0, 0, 1, 2, 3, 4);
    assert.deepEqual(await feed(0, 4, 5, 6, 7, 8, 9), { slot: 0, tokens: [1, 2, 3, 4, 5, 6, 7, 8, 9], past: 0 });
  });

  it("goes back to the short factors with a sequence that is cut", async () => {
    const { feed } = open();
    await feed(0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9);
    assert.deepEqual(await feed(0, 3, 20), { slot: 0, tokens: [1, 2, 3, 20], past: 0 });
    assert.deepEqual(await feed(0, 4, 21), { slot: 0, tokens: [21], past: 4 });
  });

  it("keeps slots apart, and knows nothing of what was released", async () => {
    const { feed, fake, runner } = open();
    await feed(0, 0, 1, 2, 3, 4, 5, 6, 7, 8);
    await feed(1, 0, 11, 12);
    assert.deepEqual(await feed(0, 8, 9), { slot: 0, tokens: [1, 2, 3, 4, 5, 6, 7, 8, 9], past: 0 });
    assert.deepEqual(await feed(1, 2, 13), { slot: 1, tokens: [13], past: 2 });
    runner.release(1);
    assert.deepEqual(fake.slotsHeld, [0]);
    assert.deepEqual(await feed(1, 0, 30), { slot: 1, tokens: [30], past: 0 });
  });

  it("copies what a sequence was made with along with it", async () => {
    const { feed, runner } = open();
    await feed(0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9);
    runner.copy(0, 1, 4);
    assert.deepEqual(await feed(1, 4, 20), { slot: 1, tokens: [1, 2, 3, 4, 20], past: 0 });
    runner.copy(1, 2, 3);
    assert.deepEqual(await feed(2, 3, 30), { slot: 2, tokens: [30], past: 3 });
  });

  it("is the runner itself where one table is for all lengths", () => {
    const fake = new FakeRunner();
    assert.equal(withRopeSwitch(fake, JOINED, undefined), fake);
    assert.equal(withRopeSwitch(fake, { rotaryPositions: undefined }, 8), fake);
  });
});
