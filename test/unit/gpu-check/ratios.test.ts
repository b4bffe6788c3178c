import assert from "node:assert/strict";
import { type HalfDtype, halfWeightBytes } from "../../bench/model/bench-models.js";
import { BANDWIDTH } from "../../gpu/check/bandwidth.js";
import { decodingName, engineShareName, stepName } from "../../gpu/check/decoding.js";
import { ratioRows } from "../../gpu/check/ratios.js";
import { TRACING } from "../../gpu/check/service.js";
import { settingsFor } from "../../gpu/check/settings.js";

const cuda = settingsFor("cuda:0");
const native = decodingName("fp16", "native", 1);

describe("ratios of a GPU's check", () => {
  it("judge the native runner by the node runner", () => {
    const measured = [
      { name: native, value: 250 },
      { name: decodingName("fp16", "node", 1), value: 100 },
    ];
    const [only, ...others] = ratioRows(measured, cuda);
    assert.deepEqual(others, []);
    assert.deepEqual({ ...only, name: "" }, { name: "", value: 2.5, unit: "times", target: "at least 3", met: false });
  });

  it("hold a step against weights and cache at the memory's speed", () => {
    const { shape, context, steps } = cuda;
    const kv = shape.layers * 2 * shape.kvHeads * shape.headDim * 2 * (context + steps / 2);
    const bytes = halfWeightBytes(shape, "fp16") + kv;
    // A thousand times a second at 1,000 GB/s is 1e9 bytes a step.
    const [only] = ratioRows(
      [
        { name: BANDWIDTH, value: 1000 },
        { name: stepName(native), value: 1 },
      ],
      cuda,
    );
    assert.ok(Math.abs(Number(only?.value) - bytes / 1e7) < 1e-6);
    assert.equal(only?.target, "at least 50");
  });

  it("hold bf16 against as many bytes as fp16, and not against the node runner, which cannot run it", () => {
    const measured = (dtype: HalfDtype) => {
      const name = decodingName(dtype, "native", 1);
      const rows = [
        { name: BANDWIDTH, value: 1000 },
        { name, value: 100 },
        { name: stepName(name), value: 1 },
      ];
      return ratioRows(rows, cuda).map(({ value }) => value);
    };
    assert.equal(measured("bf16").length, 1);
    assert.deepEqual(measured("bf16"), measured("fp16"));
  });

  it("add the engine's share and what tracing adds", () => {
    const share = engineShareName(decodingName("fp16", "native", 16));
    const [only] = ratioRows(
      [
        { name: share, value: 4 },
        { name: TRACING, value: 5 },
      ],
      cuda,
    );
    assert.equal(only?.value, 9);
    assert.equal(only?.met, true);
  });

  it("have no targets in a rehearsal, and no rows for what failed", () => {
    const measured = [
      { name: native, value: 1 },
      { name: decodingName("fp16", "node", 1), value: 100 },
      { name: decodingName("q4f16", "native", 1), value: "failed: x" },
    ];
    const rows = ratioRows(measured, settingsFor("cpu"));
    assert.equal(rows.length, 1);
    assert.equal(rows[0]?.met, undefined);
  });
});
