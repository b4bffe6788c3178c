import assert from "node:assert/strict";
import { VitrineError } from "../../../src/errors.js";
import { Admission } from "../../../src/server/admission.js";
import { ANONYMOUS } from "../../../src/server/caller.js";
import { retryAfter } from "../../../src/server/error-response.js";
import { FakeEngine } from "../../support/fake-engine.js";

const SECOND = 1e6;

/** Has as many requests as the test says. */
class CountingEngine extends FakeEngine {
  count = 0;

  override get inFlight(): number {
    return this.count;
  }
}

class Setup {
  now = 100 * SECOND;
  readonly engine = new CountingEngine();
  readonly admission: Admission;

  constructor(limits: { readonly maxInFlight: number; readonly maxPerKey: number }) {
    this.admission = new Admission(this.engine, limits, () => this.now);
  }

  /** Requests end one after the other, so many seconds apart; the last one now. */
  end(count: number, seconds: number): void {
    for (let i = 0; i < count; i++) {
      this.now += seconds * SECOND;
      this.admission.ended();
    }
  }

  waitFor(places: number, caller?: string): number | undefined {
    const refusal = this.admission.refusal(places, caller);
    assert.ok(refusal !== undefined);
    return retryAfter(refusal);
  }
}

describe("admission", () => {
  it("takes as many answers as fit, and tells the others when there will be places for them", () => {
    const setup = new Setup({ maxInFlight: 10, maxPerKey: 0 });
    setup.engine.count = 8;
    assert.equal(setup.admission.refusal(2), undefined);
    assert.equal(setup.admission.refusal(3)?.code, "queue_full");
    setup.end(5, 4);
    assert.equal(setup.waitFor(3), 4);
    assert.equal(setup.waitFor(5), 12);
  });

  it("tells the time work has taken so far, where nothing has ended yet", () => {
    const setup = new Setup({ maxInFlight: 1, maxPerKey: 0 });
    setup.admission.enter(1, "a");
    setup.engine.count = 1;
    setup.now += 9 * SECOND;
    setup.admission.enter(1, "b");
    assert.equal(setup.waitFor(1), 9, "since the first, who has been at it all the time");
  });

  it("tells a key at its limit when one of its own will have ended, by its share of all", () => {
    const setup = new Setup({ maxInFlight: 100, maxPerKey: 2 });
    setup.admission.enter(2, "a");
    setup.admission.enter(6, "b");
    setup.engine.count = 8;
    setup.end(11, 2);
    const refusal = setup.admission.refusal(1, "a");
    assert.equal(refusal?.code, "key_limit_reached");
    assert.equal(setup.waitFor(1, "a"), 8, "every fourth is its own");
    assert.equal(setup.admission.refusal(1, "c"), undefined);
    assert.equal(setup.admission.refusal(1), undefined, "the server has places");
  });

  it("gives places back", () => {
    const setup = new Setup({ maxInFlight: 100, maxPerKey: 3 });
    const leaveTwo = setup.admission.enter(2, ANONYMOUS);
    const leaveOne = setup.admission.enter(1, ANONYMOUS);
    assert.ok(setup.admission.refusal(1, ANONYMOUS));
    leaveTwo();
    assert.equal(setup.admission.refusal(2, ANONYMOUS), undefined);
    assert.ok(setup.admission.refusal(3, ANONYMOUS));
    leaveOne();
    assert.equal(setup.admission.refusal(3, ANONYMOUS), undefined);
  });

  it("has no limit a key with 0", () => {
    const setup = new Setup({ maxInFlight: 100, maxPerKey: 0 });
    setup.admission.enter(99, "a");
    assert.equal(setup.admission.refusal(50, "a"), undefined);
  });

  it("refuses for good what could never be had", () => {
    const tooMany = (places: number, maxPerKey: number) => () =>
      new Setup({ maxInFlight: 8, maxPerKey }).admission.checkSize(places, "n");
    for (const [places, maxPerKey] of [
      [9, 0],
      [5, 4],
    ] as const) {
      assert.throws(
        tooMany(places, maxPerKey),
        (thrown: unknown) => thrown instanceof VitrineError && thrown.code === "invalid_request",
      );
      assert.doesNotThrow(tooMany(places - 1, maxPerKey));
    }
  });
});
