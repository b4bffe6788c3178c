import assert from "node:assert/strict";
import { DropLog } from "../../../src/tracing/drop-log.js";

describe("DropLog", () => {
  it("tells of the first drop of each cause at once, and of later ones once a minute, with their number", () => {
    const lines: string[] = [];
    const log = new DropLog((level, message) => void lines.push(`${level}: ${message}`));
    log.check(0, { ring_full: 0, refused: 0 });
    assert.deepEqual(lines, []);
    log.check(1_000, { ring_full: 3, refused: 0 });
    log.check(2_000, { ring_full: 9, refused: 1 });
    log.check(60_999, { ring_full: 20, refused: 1 });
    assert.deepEqual(lines, [
      "warn: 3 spans dropped (ring_full): spans end faster than the export thread takes them. Only traces are affected.",
      "warn: 1 span dropped (refused): the collector found fault with them (400, 413 or 422). Only traces are affected.",
    ]);
    log.check(61_000, { ring_full: 20, refused: 1 });
    assert.match(lines[2] ?? "", /^warn: 17 spans dropped \(ring_full\)/);
    log.check(200_000, { ring_full: 20, refused: 1 });
    assert.equal(lines.length, 3, "nothing new, nothing to say");
  });
});
