import type { Writable } from "node:stream";

/**
 * Ends the process once what it wrote has left: `process.exit` alone drops what a pipe has not taken yet. A natural end
 * would take apart native libraries one by one, some of which do not stand it.
 */
export async function exitFlushed(code: number): Promise<never> {
  await Promise.all([flushed(process.stdout), flushed(process.stderr)]);
  process.exit(code);
}

/** Writes leave in order: when this empty one has left, or failed since nobody reads, nothing is left to wait for. */
function flushed(stream: Writable): Promise<void> {
  return new Promise((resolve) => stream.write("", () => resolve()));
}
