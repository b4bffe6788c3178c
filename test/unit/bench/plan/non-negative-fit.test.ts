import assert from "node:assert/strict";
import fc from "fast-check";
import { fitNonNegative, type Observation, predict } from "../../../../src/bench/plan/non-negative-fit.js";

const coefficient = fc.double({ min: 0.01, max: 10, noNaN: true });

describe("fitNonNegative", () => {
  it("finds what made exact observations, however far apart their sizes are", () => {
    fc.assert(
      fc.property(coefficient, coefficient, coefficient, (a, b, c) => {
        const observations = [1, 2, 3, 5, 8, 13].flatMap((rows) =>
          [10, 300, 2_000].map((context): Observation => {
            const features = [1, rows, rows * context];
            return { features, value: predict([a, b, c / 1e4], features), weight: 1 + rows };
          }),
        );
        const { coefficients, rSquared, typicalError } = fitNonNegative(observations);
        [a, b, c / 1e4].forEach((wanted, i) => {
          assert.ok(Math.abs((coefficients[i] ?? 0) / wanted - 1) < 1e-4, `${coefficients} for ${[a, b, c / 1e4]}`);
        });
        assert.ok(rSquared > 0.9999 && typicalError < 1e-4);
      }),
    );
  });

  it("has no negative coefficient, and no set of others above 0 nearby is better", () => {
    const value = fc.double({ min: 0.1, max: 10, noNaN: true });
    const rows = fc.array(fc.tuple(value, value, value), { minLength: 4, maxLength: 12 });
    fc.assert(
      fc.property(rows, (found) => {
        const observations = found.map(([x, y, z]): Observation => ({ features: [1, x, y], value: z, weight: 1 }));
        const { coefficients } = fitNonNegative(observations);
        const error = (tried: readonly number[]): number =>
          observations.reduce((sum, { features, value: wanted }) => sum + (wanted - predict(tried, features)) ** 2, 0);
        assert.ok(coefficients.every((each) => each >= 0));
        for (let i = 0; i < 3; i++) {
          for (const step of [-1e-3, 1e-3]) {
            const moved = coefficients.map((each, j) => (i === j ? Math.max(0, each + step) : each));
            assert.ok(error(moved) >= error(coefficients) - 1e-9);
          }
        }
      }),
    );
  });

  it("leaves out what observations do not tell apart", () => {
    const same = [1, 2, 3].map((n): Observation => ({ features: [1, 1, n], value: 5 + n, weight: 1 }));
    const { coefficients } = fitNonNegative(same);
    assert.ok(Math.abs((coefficients[0] ?? 0) + (coefficients[1] ?? 0) - 5) < 1e-6);
  });
});
