import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readDynamicSection } from "../../../src/doctor/elf.js";
import { readLoaderCache } from "../../../src/doctor/loader-cache.js";
import { elfFile } from "../../support/elf-file.js";

describe("doctor: dynamic section of a library", () => {
  let folder: string;

  before(() => {
    folder = mkdtempSync(join(tmpdir(), "vitrine-elf-"));
  });

  after(() => rmSync(folder, { recursive: true }));

  const read = (bytes: Uint8Array) => {
    const path = join(folder, "library.so");
    writeFileSync(path, bytes);
    return readDynamicSection(path);
  };

  it("names the libraries it needs and the folders it names", () => {
    const file = elfFile({ needed: ["libcudart.so.13", "libc.so.6"], runpath: "$ORIGIN:/opt/cuda/lib64" });
    assert.deepEqual(read(file), {
      needed: ["libcudart.so.13", "libc.so.6"],
      runpath: ["$ORIGIN", "/opt/cuda/lib64"],
    });
    assert.deepEqual(read(elfFile({ needed: [] })), { needed: [], runpath: [] });
  });

  it("is undefined for other files, cut ones too", () => {
    assert.equal(read(Buffer.from("#!/bin/sh")), undefined);
    assert.equal(read(Buffer.alloc(0)), undefined);
    const whole = elfFile({ needed: ["libc.so.6"] });
    assert.equal(read(whole.subarray(0, 40)), undefined);
    const foreign = Buffer.from(whole);
    foreign[4] = 1;
    assert.equal(read(foreign), undefined, "of 32 bits");
  });

  it("reads what Node itself is linked to", () => {
    assert.ok(readDynamicSection(process.execPath)?.needed.includes("libc.so.6"));
  });
});

describe("doctor: the loader's cache", () => {
  function cache(entries: readonly (readonly [name: string, path: string])[], before = ""): Buffer {
    const header = Buffer.alloc(48);
    header.write("glibc-ld.so.cache1.1", "latin1");
    header.writeUInt32LE(entries.length, 20);
    const table = Buffer.alloc(entries.length * 24);
    let texts = "";
    entries.forEach((entry, index) => {
      entry.forEach((text, part) => {
        table.writeUInt32LE(48 + table.length + texts.length, index * 24 + 4 + part * 4);
        texts += `${text}\0`;
      });
    });
    return Buffer.concat([Buffer.from(before), header, table, Buffer.from(texts)]);
  }

  const ENTRIES = [
    ["libcublas.so.13", "/usr/local/cuda/lib64/libcublas.so.13"],
    ["libc.so.6", "/lib/x86_64-linux-gnu/libc.so.6"],
    ["libc.so.6", "/lib32/libc.so.6"],
  ] as const;

  it("has the paths of each name, in their order", () => {
    for (const before of ["", "ld.so-1.7.0 and a list of old"]) {
      const found = readLoaderCache(cache(ENTRIES, before));
      assert.deepEqual(found.get("libcublas.so.13"), ["/usr/local/cuda/lib64/libcublas.so.13"]);
      assert.deepEqual(found.get("libc.so.6"), ["/lib/x86_64-linux-gnu/libc.so.6", "/lib32/libc.so.6"]);
    }
  });

  it("is empty for anything else, and short for a file that is cut", () => {
    assert.equal(readLoaderCache(Buffer.from("something else")).size, 0);
    assert.equal(readLoaderCache(cache(ENTRIES).subarray(0, 48 + 24)).size <= 1, true);
  });
});
