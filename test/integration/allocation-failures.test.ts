/** Allocations that fail, one in each run, under a real engine on the real runner: whose request it was, fails; nobody else. */
import assert from "node:assert/strict";
import { NativeError, OrtTensor } from "../../native/ort.js";
import { Engine } from "../../src/engine/engine.js";
import { type EngineEvent, type EngineRequest, monotonicMicros } from "../../src/protocol.js";
import { resolveModelDirectory } from "../../src/runtime/files/model-directory.js";
import { createRunner } from "../../src/runtime/load/load-model.js";
import { engineRequest, growthsOf, story, tokensOf } from "../support/engine-requests.js";

const SLOTS = 4;
const LOAD = { modelDir: resolveModelDirectory("tiny"), dtype: "fp32", device: "cpu", threads: 1 } as const;
const CPU = { requested: "cpu", provider: "cpu", reason: "" } as const;

const allocate = OrtTensor.allocate;

/** Prompts that grow the cache in rows and in tokens, share a beginning, and have all their logits read. */
const requests: readonly EngineRequest[] = [
  { id: "long", prompt: prompt(240, 1), maxTokens: 60 },
  { id: "scored", prompt: prompt(40, 2), maxTokens: 8, logprobs: 0, promptLogprobs: true },
  { id: "first", prompt: prompt(60, 3), maxTokens: 30 },
  { id: "alike", prompt: Int32Array.of(...prompt(50, 3), 7, 8, 9), maxTokens: 30 },
  { id: "last", prompt: prompt(20, 4), maxTokens: 12 },
].map(engineRequest);

describe("an allocation that fails", function () {
  this.timeout(60_000);
  const texts = new Map<string, number[]>();
  let allocations = 0;

  before(async () => {
    const counted = await play(0);
    allocations = counted.allocations;
    for (const { id, maxTokens } of requests) {
      const text = tokensOf(counted.events, id);
      assert.equal(text.length, maxTokens, `${id}: ${story(counted.events, id).at(-1)}`);
      texts.set(id, text);
    }
    assert.ok(growthsOf(counted.events).length >= 3);
  });

  afterEach(() => {
    OrtTensor.allocate = allocate;
  });

  /** All requests on a runner of its own, of whose allocations `row` from number `failing` on fail; with 0 none does. */
  async function play(failing: number, row = 1): Promise<{ events: EngineEvent[]; allocations: number }> {
    const runner = await createRunner({ ...LOAD, maxSequences: SLOTS }, CPU);
    let count = 0;
    OrtTensor.allocate = ((...args: Parameters<typeof allocate>) => {
      count++;
      if (failing > 0 && count >= failing && count < failing + row)
        throw new NativeError("out_of_memory", "none is left");
      return allocate(...args);
    }) as typeof allocate;
    const events: EngineEvent[] = [];
    const engine = new Engine({
      runner,
      maxSequences: SLOTS,
      clock: monotonicMicros,
      turn: async () => engine.checkInvariants(),
      emit: (batch) => {
        events.push(...batch);
        if (events.filter(({ type }) => type === "ended").length === requests.length) {
          engine.dispatch({ type: "shutdown" });
        }
      },
    });
    for (const request of requests) engine.dispatch({ type: "submit", request });
    await engine.run();
    OrtTensor.allocate = allocate;
    await runner.dispose();
    return { events, allocations: count };
  }

  for (const [row, every, howMany] of [
    [1, 3, "one"],
    [4, 7, "four in a row"],
  ] as const) {
    it(`fails requests that asked, and leaves the others their text: ${howMany}, wherever`, async () => {
      for (let failing = 1; failing <= allocations; failing += every) {
        const { events } = await play(failing, row);
        const ends = requests.map(({ id }) => story(events, id).at(-1));
        const failed = ends.filter((end) => end === "failed out_of_memory").length;
        assert.ok(failed <= row, `allocation ${failing}: ${ends}`);
        assert.equal(ends.filter((end) => end === "finished length").length, requests.length - failed, `${ends}`);
        for (const { id } of requests) {
          assert.equal(events.filter((event) => event.type === "ended" && event.id === id).length, 1);
          const text = tokensOf(events, id);
          assert.deepEqual(text, texts.get(id)?.slice(0, text.length), `${id}, allocation ${failing}`);
        }
      }
    });
  }

  it("leaves no half of a binding behind", async () => {
    const runner = await createRunner({ ...LOAD, maxSequences: 1 }, CPU);
    const one = { slot: 0, tokens: Int32Array.of(5), past: 0 };
    const before = (await runner.run([one]))[0]?.all().slice();
    OrtTensor.allocate = () => {
      throw new NativeError("out_of_memory", "none is left");
    };
    for (let times = 0; times < 2; times++) {
      const scored = { slot: 0, tokens: Int32Array.of(5, 6, 7), past: 0, logits: 3 };
      await assert.rejects(runner.run([scored]), { code: "out_of_memory" });
    }
    OrtTensor.allocate = allocate;
    assert.deepEqual((await runner.run([one]))[0]?.all(), before);
    assert.equal(
      (await runner.run([{ ...one, tokens: Int32Array.of(5, 6, 7), logits: 3 }]))[0]?.all().length,
      3 * runner.model.vocabSize,
    );
    await runner.dispose();
  });
});

/** Tokens that look random, always the same. */
function prompt(length: number, seed: number): Int32Array {
  return Int32Array.from({ length }, (_, i) => 3 + ((Math.imul(i + 1, 2654435761 * seed) >>> 16) % 200));
}
