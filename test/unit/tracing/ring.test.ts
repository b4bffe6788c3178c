import assert from "node:assert/strict";
import { createRing, RingReader, RingWriter } from "../../../src/tracing/export/ring.js";

function pair(capacity: number): { writer: RingWriter; reader: RingReader; memory: SharedArrayBuffer } {
  const memory = createRing(capacity);
  return { writer: new RingWriter(memory), reader: new RingReader(memory), memory };
}

const filled = (length: number, value: number): Uint8Array => new Uint8Array(length).fill(value);

function take(reader: RingReader): number[] | undefined {
  let record: number[] | undefined;
  reader.read((bytes, start, length) => {
    record = [...bytes.subarray(start, start + length)];
  });
  return record;
}

describe("ring", () => {
  it("gives records back whole and in order", () => {
    const { writer, reader } = pair(1024);
    assert.equal(take(reader), undefined);
    for (const length of [1, 2, 3, 4, 5, 60]) assert.equal(writer.write(filled(length, length), length), "written");
    for (const length of [1, 2, 3, 4, 5, 60]) assert.deepEqual(take(reader), Array(length).fill(length));
    assert.equal(take(reader), undefined);
  });

  it("writes only the first `length` bytes", () => {
    const { writer, reader } = pair(64);
    writer.write(filled(60, 7), 3);
    assert.deepEqual(take(reader), [7, 7, 7]);
  });

  it("wraps around at every offset without losing or mixing records", () => {
    const { writer, reader } = pair(256);
    let next = 0;
    let expected = 0;
    let random = 1;
    for (let round = 0; round < 20_000; round++) {
      random = (random * 48_271) % 2_147_483_647;
      const length = 1 + (random % 120);
      if (writer.write(filled(length, next & 255), length) === "written") next++;
      else {
        const record = take(reader);
        assert.ok(record?.every((byte) => byte === (expected & 255)));
        expected++;
      }
    }
    while (take(reader) !== undefined) expected++;
    assert.equal(expected, next);
    assert.ok(next > 5_000);
  });

  it("keeps counting when its counters pass 2^31 and 2^32", () => {
    for (const position of [2 ** 31 - 64, 2 ** 32 - 64]) {
      const { writer, reader, memory } = pair(64);
      const counters = new Int32Array(memory, 0, 32);
      counters[0] = position | 0;
      counters[16] = position | 0;
      for (let round = 0; round < 10; round++) {
        assert.equal(writer.write(filled(20, round), 20), "written");
        assert.equal(writer.write(filled(20, 99), 20), "written");
        assert.equal(writer.write(filled(20, 99), 20), "full");
        assert.deepEqual(take(reader), Array(20).fill(round));
        assert.deepEqual(take(reader), Array(20).fill(99));
      }
    }
  });

  it("refuses when full, and takes more once the reader has caught up", () => {
    const { writer, reader } = pair(64);
    assert.equal(writer.write(filled(28, 1), 28), "written");
    assert.equal(writer.write(filled(28, 2), 28), "written");
    assert.equal(writer.write(filled(1, 3), 1), "full");
    assert.deepEqual(take(reader), Array(28).fill(1));
    assert.equal(writer.write(filled(1, 3), 1), "written");
    assert.deepEqual(take(reader), Array(28).fill(2));
    assert.deepEqual(take(reader), [3]);
  });

  it("refuses a record over half its size, always, and takes one of half, always", () => {
    const { writer, reader } = pair(64);
    assert.equal(writer.write(filled(29, 1), 29), "oversize");
    for (let start = 0; start < 16; start++) {
      assert.equal(writer.write(filled(1, 0), 1), "written");
      take(reader);
      assert.equal(writer.write(filled(28, 5), 28), "written");
      assert.deepEqual(take(reader), Array(28).fill(5));
    }
  });

  it("frees a record whose reader threw", () => {
    const { writer, reader } = pair(64);
    writer.write(filled(4, 1), 4);
    writer.write(filled(4, 2), 4);
    assert.throws(() =>
      reader.read(() => {
        throw new Error("bad record");
      }),
    );
    assert.deepEqual(take(reader), [2, 2, 2, 2]);
  });

  it("knows how many records wait in it, wherever the gap falls", () => {
    const memory = createRing(256);
    const [writer, reader] = [new RingWriter(memory), new RingReader(memory)];
    const record = new Uint8Array(100);
    let waiting = 0;
    for (let step = 0; step < 1_000; step++) {
      while (writer.write(record, 1 + ((step * 37) % 90)) === "written") waiting++;
      assert.equal(reader.waiting, waiting);
      for (let left = step % 3; left >= 0 && reader.read(() => {}); left--) waiting--;
      assert.equal(reader.waiting, waiting);
    }
  });

  it("insists on a power of two", () => {
    for (const capacity of [0, 32, 100, 2 ** 31]) assert.throws(() => createRing(capacity), RangeError);
  });
});
