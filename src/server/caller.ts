import { createHmac, randomBytes } from "node:crypto";
import type { IdentityHash } from "../tracing/contract.js";

/** Keyed hash of something that must not be kept. The key is new at each start, so hashes compare within one only. */
export type KeyedHash = (secret: string) => string;

export function createKeyedHash(): KeyedHash {
  const key = randomBytes(32);
  return (secret) => createHmac("sha256", key).update(secret).digest("base64url");
}

export type IdentityHasher = (identity: string) => IdentityHash;

/** Without a key, a random one: hashes then compare within one start only. */
export function createIdentityHasher(key?: string, previous?: string): IdentityHasher {
  const hasher = (secret: string | Buffer) => (identity: string) =>
    createHmac("sha256", secret).update(identity).digest("hex").slice(0, 16);
  const current = hasher(key ?? randomBytes(32));
  const before = previous === undefined ? undefined : hasher(previous);
  return (identity) => ({
    current: current(identity),
    ...(before === undefined ? {} : { previous: before(identity) }),
  });
}

/** Callers without a key share this name. */
export const ANONYMOUS = "";

/** Who calls, as far as one can tell from the API key. */
export function callerOf(key: string | undefined, hash: KeyedHash): string {
  return key === undefined ? ANONYMOUS : hash(`key ${key}`);
}

/**
 * With whom a request shares cached prompts: with those of the same salt. `caller` is left out where prompts may be
 * shared by all; `asked` is the request's `cache_salt`.
 */
export function cacheSaltOf(caller: string | undefined, asked: string | undefined, hash: KeyedHash): string {
  return asked === undefined ? (caller ?? "") : hash(`salt ${JSON.stringify([caller ?? "", asked])}`);
}
