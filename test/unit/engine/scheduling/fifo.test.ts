import assert from "node:assert/strict";
import { Random } from "../../../../src/engine/sampling/random.js";
import { Fifo } from "../../../../src/engine/scheduling/fifo.js";

describe("Fifo", () => {
  it("behaves as an array does, under random pushes and removals anywhere", () => {
    const random = Random.seeded(1);
    const fifo = new Fifo<number>();
    let model: number[] = [];
    for (let next = 0; next < 2000; next++) {
      const pick = random.nextFloat();
      if (pick < 0.5 || model.length === 0) {
        fifo.push(next);
        model.push(next);
      } else {
        const victim = model[Math.floor((pick - 0.5) * 2 * model.length)] ?? -1;
        assert.equal(fifo.delete(victim), true);
        model = model.filter((item) => item !== victim);
        assert.equal(fifo.delete(victim), false);
      }
      assert.equal(fifo.size, model.length);
      assert.equal(fifo.first, model[0]);
      assert.deepEqual([...fifo], model);
    }
  });
});
