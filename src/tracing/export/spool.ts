import { existsSync, mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { open, readFile, rename, unlink, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { crc32 } from "node:zlib";

/** `SEQUENCE-SPANS.spans`: the oldest sorts first, and what is lost with a damaged file can be counted. */
const NAME = /^(\d{12})-(\d+)\.spans$/;
const PARTIAL = ".partial";
/** Only this user reads it. Spans hold no content, but names of callers' services and models. */
export const SPOOL_MODE = { file: 0o600, directory: 0o700 } as const;
const CHECKSUM_BYTES = 4;

/**
 * Makes `directory` and what is missing above it. Throws where that cannot be done, which Node's own `recursive` does not where
 * the file system says ENOENT of a folder it does not take, as /proc does: that tries for ever.
 */
export function makeSpoolDirectory(directory: string): void {
  if (existsSync(directory)) return;
  makeSpoolDirectory(dirname(directory));
  try {
    mkdirSync(directory, SPOOL_MODE.directory);
  } catch (error) {
    // Another process may have been quicker.
    if (!existsSync(directory)) throw error;
  }
}

export interface SpooledBatch {
  readonly name: string;
  /** Spans in it. */
  readonly count: number;
  readonly bytes: number;
}

/**
 * Batches of spans in a directory of one process, oldest first: one file each, its checksum before its lines.
 * A file gets its name when it is whole and on the disk, and goes when its batch was taken: nothing is ever rewritten.
 * A batch that was appended outlives a power cut (fsync of the file, then of the directory); that it was removed may not, and it is sent again.
 */
export class Spool {
  #batches: SpooledBatch[] = [];
  #bytes = 0;
  #next = 1;

  /** Makes the directory and finds what an earlier process left. Throws where that cannot be done. */
  constructor(
    private readonly directory: string,
    private readonly limitBytes: number,
  ) {
    makeSpoolDirectory(directory);
    for (const name of readdirSync(directory).sort()) {
      // Half a batch, of a process that died: it had not been counted as kept.
      if (name.endsWith(PARTIAL)) rmSync(join(directory, name), { force: true });
      const [, sequence, count] = NAME.exec(name) ?? [];
      if (sequence === undefined) continue;
      this.#keep({ name, count: Number(count), bytes: statSync(join(directory, name)).size });
      this.#next = Number(sequence) + 1;
    }
  }

  get batches(): number {
    return this.#batches.length;
  }

  get spans(): number {
    return this.#batches.reduce((sum, { count }) => sum + count, 0);
  }

  get oldest(): SpooledBatch | undefined {
    return this.#batches[0];
  }

  /** Writes a batch behind all others; the oldest make room for it. Rejects where it cannot be written. */
  async append(spans: readonly string[]): Promise<{ readonly dropped: number }> {
    const body = Buffer.from(spans.join("\n"));
    const bytes = body.length + CHECKSUM_BYTES;
    if (bytes > this.limitBytes) throw new Error("the batch is larger than the spool may be");
    let dropped = 0;
    while (this.#bytes + bytes > this.limitBytes) dropped += await this.#dropOldest();
    const name = `${String(this.#next++).padStart(12, "0")}-${spans.length}.spans`;
    const path = join(this.directory, name);
    const checksum = Buffer.alloc(CHECKSUM_BYTES);
    checksum.writeUInt32LE(crc32(body));
    try {
      await writeFile(path + PARTIAL, Buffer.concat([checksum, body]), { mode: SPOOL_MODE.file, flush: true });
      await rename(path + PARTIAL, path);
      await syncDirectory(this.directory);
    } catch (error) {
      await unlink(path + PARTIAL).catch(() => {});
      throw error;
    }
    this.#keep({ name, count: spans.length, bytes });
    return { dropped };
  }

  /** The batch's spans; undefined where the file is gone or damaged. */
  async read(batch: SpooledBatch): Promise<readonly string[] | undefined> {
    const file = await readFile(join(this.directory, batch.name)).catch(() => undefined);
    if (file === undefined || file.length < CHECKSUM_BYTES) return undefined;
    const body = file.subarray(CHECKSUM_BYTES);
    return file.readUInt32LE(0) === crc32(body) ? body.toString().split("\n") : undefined;
  }

  /** Forgets a batch: it was taken, or never will be; false where it is forgotten already. A crash just before this is why one may be sent twice. */
  async remove(batch: SpooledBatch): Promise<boolean> {
    const index = this.#batches.indexOf(batch);
    if (index < 0) return false;
    this.#batches.splice(index, 1);
    this.#bytes -= batch.bytes;
    await unlink(join(this.directory, batch.name)).catch(() => {});
    return true;
  }

  #keep(batch: SpooledBatch): void {
    this.#batches.push(batch);
    this.#bytes += batch.bytes;
  }

  async #dropOldest(): Promise<number> {
    const [oldest] = this.#batches;
    if (oldest === undefined) return 0;
    await this.remove(oldest);
    return oldest.count;
  }
}

/** So that a new name in it outlives a power cut. */
async function syncDirectory(directory: string): Promise<void> {
  const handle = await open(directory, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
