import assert from "node:assert/strict";
import { contradictions } from "../../../../src/runtime/files/contradictions.js";

const layer = (heads: number, headDim: number) => ({
  past: "p",
  present: "q",
  heads,
  headDim,
  empty: [1, heads, 0, headDim],
});
const GRAPH = { layers: 2, vocabSize: 32, cache: [layer(1, 8), layer(1, 8)] };
const CONFIG = { layers: 2, kvHeads: 1, headDim: 8, vocabSize: 32 };

describe("contradictions", () => {
  it("finds none where config.json agrees or is silent", () => {
    assert.deepEqual(contradictions(CONFIG, GRAPH), []);
    const silent = { layers: undefined, kvHeads: undefined, headDim: undefined, vocabSize: undefined };
    assert.deepEqual(contradictions(silent, GRAPH), []);
  });

  for (const [field, name] of [
    ["layers", "num_hidden_layers"],
    ["kvHeads", "num_key_value_heads"],
    ["headDim", "head_dim"],
    ["vocabSize", "vocab_size"],
  ] as const) {
    it(`gives both numbers of ${name}`, () => {
      const [sentence, ...others] = contradictions({ ...CONFIG, [field]: 99 }, GRAPH);
      assert.deepEqual(others, []);
      assert.match(sentence ?? "", new RegExp(`^config\\.json makes ${name} 99, the graph has ${CONFIG[field]}, `));
    });
  }

  it("does not compare heads where layers differ, or where a layout has none of its own", () => {
    const other = { ...CONFIG, kvHeads: 4, headDim: 4 };
    assert.deepEqual(contradictions(other, { ...GRAPH, cache: [layer(1, 8), layer(2, 8)] }), []);
    const old = { past: "p", present: "q", heads: 1, headDim: 16, empty: [1, 0, 16] };
    assert.deepEqual(contradictions(other, { ...GRAPH, cache: [old, old] }), []);
  });
});
