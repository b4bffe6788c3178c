import assert from "node:assert/strict";
import { StopSignals } from "../../../src/cli/stop-signals.js";

describe("StopSignals", () => {
  it("takes the echo that npm sends of a Ctrl-C for the same one", () => {
    const signals = new StopSignals();
    assert.deepEqual(
      [0, 3, 499, 500, 501, 1_200].map((now) => signals.take("SIGINT", now)),
      [1, undefined, undefined, 2, undefined, 3],
    );
  });

  it("knows an echo by its being the same signal", () => {
    const signals = new StopSignals();
    assert.deepEqual(
      [signals.take("SIGTERM", 0), signals.take("SIGINT", 1), signals.take("SIGINT", 2)],
      [1, 2, undefined],
    );
  });
});
