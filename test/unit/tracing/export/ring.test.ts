import assert from "node:assert/strict";
import { createRing, RingReader, RingWriter } from "../../../../src/tracing/export/ring.js";

function pair(capacity: number, mostBytes = capacity) {
  const memory = createRing(capacity);
  return { writer: new RingWriter(memory, mostBytes), reader: new RingReader(memory) };
}

/** Writes a record of `length` bytes that all are `value`; false when the ring is full. */
function write(writer: RingWriter, length: number, value: number): boolean {
  const start = writer.begin();
  if (start < 0) return false;
  writer.bytes.fill(value, start, start + length);
  writer.commit(length);
  return true;
}

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
    for (const length of [1, 2, 3, 4, 5, 60]) assert.ok(write(writer, length, length));
    for (const length of [1, 2, 3, 4, 5, 60]) assert.deepEqual(take(reader), Array(length).fill(length));
    assert.equal(take(reader), undefined);
  });

  it("gives the reader nothing of a record that was begun and not committed", () => {
    const { writer, reader } = pair(64);
    writer.bytes.fill(7, writer.begin());
    assert.equal(take(reader), undefined);
    assert.ok(write(writer, 3, 9));
    assert.deepEqual(take(reader), [9, 9, 9]);
    assert.equal(take(reader), undefined);
  });

  it("wraps around at every offset without losing or mixing records", () => {
    const { writer, reader } = pair(256);
    let next = 0;
    let expected = 0;
    let random = 1;
    for (let round = 0; round < 20_000; round++) {
      random = (random * 48_271) % 2_147_483_647;
      const length = 1 + (random % 120);
      if (write(writer, length, next & 255)) next++;
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
      const memory = createRing(64);
      const counters = new Int32Array(memory, 0, 32);
      counters[0] = position | 0;
      counters[16] = position | 0;
      const [writer, reader] = [new RingWriter(memory, 20), new RingReader(memory)];
      for (let round = 0; round < 10; round++) {
        assert.ok(write(writer, 20, round));
        assert.ok(write(writer, 20, 99));
        assert.ok(!write(writer, 20, 99));
        assert.deepEqual(take(reader), Array(20).fill(round));
        assert.deepEqual(take(reader), Array(20).fill(99));
      }
    }
  });

  it("refuses when full, and takes more once the reader has caught up", () => {
    const { writer, reader } = pair(64);
    assert.ok(write(writer, 28, 1));
    assert.ok(write(writer, 28, 2));
    assert.ok(!write(writer, 1, 3));
    assert.deepEqual(take(reader), Array(28).fill(1));
    assert.ok(write(writer, 1, 3));
    assert.deepEqual(take(reader), Array(28).fill(2));
    assert.deepEqual(take(reader), [3]);
  });

  it("takes a record of half its size wherever it stands, and none that is longer", () => {
    const { writer, reader } = pair(64);
    assert.equal(writer.mostBytes, 28);
    assert.equal(pair(64, 20).writer.mostBytes, 20);
    for (let start = 0; start < 16; start++) {
      assert.ok(write(writer, 1, 0));
      take(reader);
      assert.ok(write(writer, 28, 5));
      assert.deepEqual(take(reader), Array(28).fill(5));
    }
  });

  it("frees a record whose reader threw", () => {
    const { writer, reader } = pair(64);
    write(writer, 4, 1);
    write(writer, 4, 2);
    assert.throws(() =>
      reader.read(() => {
        throw new Error("bad record");
      }),
    );
    assert.deepEqual(take(reader), [2, 2, 2, 2]);
  });

  it("knows how many records wait in it, wherever the gap falls", () => {
    const { writer, reader } = pair(256, 92);
    let waiting = 0;
    for (let step = 0; step < 1_000; step++) {
      while (write(writer, 1 + ((step * 37) % 90), 0)) waiting++;
      assert.equal(reader.waiting, waiting);
      for (let left = step % 3; left >= 0 && reader.read(() => {}); left--) waiting--;
      assert.equal(reader.waiting, waiting);
    }
  });

  it("insists on a power of two", () => {
    for (const capacity of [0, 32, 100, 2 ** 31]) assert.throws(() => createRing(capacity), RangeError);
  });
});
