/** A folder as an archive in parts, each small enough to be carried by itself, and a script that joins them. */
import { spawn } from "node:child_process";
import { createHash, type Hash } from "node:crypto";
import { once } from "node:events";
import { closeSync, copyFileSync, createReadStream, openSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { constants, createBrotliCompress, createGzip } from "node:zlib";

/** As small as zstd's level 15 here, and Node unpacks it: a bare machine has neither zstd nor xz. */
const QUALITY = { [constants.BROTLI_PARAM_QUALITY]: 6, [constants.BROTLI_PARAM_LGWIN]: 24 };

export interface ArchiveSource {
  /** What is packed. */
  readonly folder: string;
  /** Of it, a folder that some machines have anyway, in parts of its own that can be left behind. */
  readonly optional: string;
  /** Node's binary, which unpacks the rest. */
  readonly node: string;
  /** The script `unpack.sh`. */
  readonly script: string;
}

/** Writes the parts, `SHA256SUMS` and `unpack.sh` into `target`. Resolves with the parts' names. */
export async function writeArchive(
  { folder, optional, node, script }: ArchiveSource,
  target: string,
  partBytes: number,
): Promise<string[]> {
  const unpacker = new Parts(target, "node.gz", partBytes);
  await pipeline(createReadStream(node), createGzip({ level: 9 }), unpacker);
  const archive = new Parts(target, "archive.tar.br", partBytes);
  await compress(folder, [`--exclude=./${optional}`, "."], archive);
  const libraries = new Parts(target, `${optional}.tar.br`, partBytes);
  await compress(folder, [`./${optional}`], libraries);
  copyFileSync(script, join(target, "unpack.sh"));
  const sums = [...unpacker.sums, ...archive.sums, ...libraries.sums];
  writeFileSync(join(target, "SHA256SUMS"), sums.map(({ name, sum }) => `${sum}  ${name}\n`).join(""));
  return sums.map(({ name }) => name);
}

async function compress(folder: string, what: readonly string[], parts: Parts): Promise<void> {
  const tar = spawn("tar", ["-cf", "-", "--owner=0", "--group=0", "--sort=name", "-C", folder, ...what], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(tar, "close");
  await pipeline(tar.stdout, createBrotliCompress({ params: QUALITY }), parts);
  const [code] = await ended;
  if (code !== 0) throw new Error(`tar ended with ${code}`);
}

/** A stream into `NAME.000`, `NAME.001` and so on. */
class Parts extends Writable {
  readonly sums: { readonly name: string; readonly sum: string }[] = [];
  #file: number | undefined;
  #hash: Hash = createHash("sha256");
  #left = 0;

  constructor(
    private readonly folder: string,
    private readonly stem: string,
    private readonly partBytes: number,
  ) {
    super();
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    for (let at = 0; at < chunk.length; ) {
      if (this.#file === undefined) this.#open();
      const piece = chunk.subarray(at, at + this.#left);
      writeSync(this.#file as number, piece);
      this.#hash.update(piece);
      at += piece.length;
      this.#left -= piece.length;
      if (this.#left === 0) this.#close();
    }
    done();
  }

  override _final(done: () => void): void {
    this.#close();
    done();
  }

  #open(): void {
    const name = `${this.stem}.${String(this.sums.length).padStart(3, "0")}`;
    this.#file = openSync(join(this.folder, name), "w");
    this.#left = this.partBytes;
  }

  #close(): void {
    if (this.#file === undefined) return;
    closeSync(this.#file);
    const name = `${this.stem}.${String(this.sums.length).padStart(3, "0")}`;
    this.sums.push({ name, sum: this.#hash.digest("hex") });
    this.#hash = createHash("sha256");
    this.#file = undefined;
  }
}
