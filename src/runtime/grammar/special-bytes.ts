/**
 * A special token as bytes that no text has: 0xFF is not in UTF-8. So a grammar can ask for one, and none gets into a
 * string. (The idea is llguidance's.)
 */
export function specialBytes(name: string): Uint8Array {
  return Buffer.concat([Buffer.of(0xff), Buffer.from(name, "utf8"), Buffer.of(0xff)]);
}
