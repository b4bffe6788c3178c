import assert from "node:assert/strict";
import { nativeBusBytes, nodeBusBytes } from "../../gpu/check/bus-bytes.js";

const model = { vocabSize: 1000, kvBytesPerToken: 50 };

describe("bytes over the bus", () => {
  it("of the native runner do not grow with the context", () => {
    // An id, a length, 64 candidates of a logit and an id.
    assert.equal(nativeBusBytes(model, { rows: 2, context: 10 }, 2), 2 * (8 + 4 + 64 * 6));
    assert.equal(nativeBusBytes(model, { rows: 2, context: 999 }, 2), 2 * (8 + 4 + 64 * 6));
    assert.equal(nativeBusBytes(model, { rows: 1, context: 10 }, 2, true), 8 + 4 + 2000);
  });

  it("of the node runner are the whole cache, there and back", () => {
    assert.equal(nodeBusBytes(model, { rows: 1, context: 10 }, 2), 8 + 11 * 8 + 10 * 50 + 11 * 50 + 2000);
  });
});
