/**
 * `/etc/ld.so.cache`, where the dynamic loader finds libraries by name. Source: glibc's `dl-cache.h`: a header of 48 bytes
 * that begins with the magic text, entries of 24 bytes, and texts by their offset from the header.
 */
const MAGIC = "glibc-ld.so.cache1.1";
const HEADER_BYTES = 48;
const ENTRY_BYTES = 24;

/** Paths by library name, in the order that the loader tries them. Empty for anything else than such a cache. */
export function readLoaderCache(file: Buffer): ReadonlyMap<string, readonly string[]> {
  // Older caches have a list in an older form before it.
  const start = file.indexOf(MAGIC, 0, "latin1");
  const found = new Map<string, string[]>();
  if (start === -1 || file.length < start + HEADER_BYTES) return found;
  const cache = file.subarray(start);
  const text = (offset: number): string => cache.toString("utf8", offset, Math.max(offset, cache.indexOf(0, offset)));
  const count = cache.readUInt32LE(MAGIC.length);
  for (let index = 0; index < count; index++) {
    const at = HEADER_BYTES + index * ENTRY_BYTES;
    if (at + ENTRY_BYTES > cache.length) break;
    const name = text(cache.readUInt32LE(at + 4));
    const path = text(cache.readUInt32LE(at + 8));
    found.set(name, [...(found.get(name) ?? []), path]);
  }
  return found;
}
