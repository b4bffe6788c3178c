import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Spool } from "../../../../src/tracing/export/spool.js";

describe("the spool", () => {
  let root: string;
  let directory: string;

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), "vitrine-spool-"));
    directory = join(root, "zipkin");
  });

  afterEach(() => rmSync(root, { recursive: true, force: true }));

  const spans = (...names: string[]): string[] => names.map((name) => JSON.stringify({ name }));

  /** What is in it, oldest first, taking everything out; undefined for what is damaged. */
  async function drain(spool: Spool): Promise<(readonly string[] | undefined)[]> {
    const found: (readonly string[] | undefined)[] = [];
    for (let batch = spool.oldest; batch !== undefined; batch = spool.oldest) {
      found.push(await spool.read(batch));
      assert.equal(await spool.remove(batch), true);
    }
    return found;
  }

  it("gives batches back in their order, also to the next process, and forgets what was taken", async () => {
    const spool = new Spool(directory, 1e6);
    for (const name of ["a", "b", "c"]) await spool.append(spans(name, "ü"));
    assert.deepEqual([spool.batches, spool.spans], [3, 6]);
    const [first] = [spool.oldest];
    assert.ok(first !== undefined);
    assert.equal(await spool.remove(first), true);
    assert.equal(await spool.remove(first), false);
    const next = new Spool(directory, 1e6);
    assert.deepEqual([next.batches, next.spans], [2, 4]);
    await next.append(spans("d"));
    assert.deepEqual(await drain(next), [spans("b", "ü"), spans("c", "ü"), spans("d")]);
    assert.deepEqual(readdirSync(directory), []);
  });

  it("is bounded: the oldest make room, and a batch larger than all of it is refused", async () => {
    const one = spans("x".repeat(100));
    const spool = new Spool(directory, 400);
    const dropped: number[] = [];
    for (let count = 0; count < 5; count++) dropped.push((await spool.append(one)).dropped);
    assert.deepEqual(dropped, [0, 0, 0, 1, 1]);
    const bytes = readdirSync(directory).map((name) => statSync(join(directory, name)).size);
    assert.ok(bytes.length === 3 && bytes.reduce((sum, size) => sum + size) <= 400);
    await assert.rejects(spool.append(spans("y".repeat(400))), /larger than the spool/);
    assert.equal(spool.batches, 3);
  });

  it("tells damaged files from good ones, with how many spans each held", async () => {
    const spool = new Spool(directory, 1e6);
    for (const name of ["cut", "flipped", "good"]) await spool.append(spans(name, name));
    const [cut = "", flipped = ""] = readdirSync(directory).sort();
    truncateSync(join(directory, cut), 9);
    const content = readFileSync(join(directory, flipped));
    content.writeUInt8(content.readUInt8(12) ^ 1, 12);
    writeFileSync(join(directory, flipped), content);
    const next = new Spool(directory, 1e6);
    assert.equal(next.spans, 6);
    assert.deepEqual(await drain(next), [undefined, undefined, spans("good", "good")]);
  });

  it("sweeps up the half of a batch that a dead process left, and leaves others' files alone", async () => {
    await new Spool(directory, 1e6).append(spans("a"));
    writeFileSync(join(directory, "000000000002-7.spans.partial"), "half");
    writeFileSync(join(directory, "notes.txt"), "mine");
    assert.equal(new Spool(directory, 1e6).spans, 1);
    assert.deepEqual(readdirSync(directory).sort(), ["000000000001-1.spans", "notes.txt"]);
  });

  it("is readable by its user alone", async () => {
    await new Spool(directory, 1e6).append(spans("a"));
    const mode = (path: string) => statSync(path).mode & 0o777;
    assert.deepEqual([mode(directory), mode(join(directory, "000000000001-1.spans"))], [0o700, 0o600]);
  });

  it("has a batch on the disk before it gives it its name, and the name before it counts it as kept", async () => {
    const handle = await open(root, "r");
    const handles = Object.getPrototypeOf(handle) as { sync: () => Promise<void> };
    await handle.close();
    const { sync } = handles;
    const synced: string[][] = [];
    handles.sync = function (this: unknown) {
      synced.push(readdirSync(directory));
      return sync.call(this);
    };
    try {
      await new Spool(directory, 1e6).append(spans("a"));
    } finally {
      handles.sync = sync;
    }
    assert.deepEqual(synced, [["000000000001-1.spans.partial"], ["000000000001-1.spans"]]);
  });
});
