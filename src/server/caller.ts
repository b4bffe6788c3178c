import { createHmac, randomBytes } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { apiKeyOf } from "../tracing/context/api-key.js";

/** Keyed hash of something that must not be kept. The key is new at each start, so hashes compare within one only. */
export type KeyedHash = (secret: string) => string;

export function createKeyedHash(): KeyedHash {
  const key = randomBytes(32);
  return (secret) => createHmac("sha256", key).update(secret).digest("base64url");
}

/** Callers without a key share this name. */
export const ANONYMOUS = "";

/**
 * Who calls, as far as one can tell: a hash of the API key that came as `authorization: Bearer …` or as `x-api-key`.
 * The key itself is kept nowhere.
 */
export function callerOf(headers: IncomingHttpHeaders, hash: KeyedHash): string {
  const key = apiKeyOf(headers);
  return key === undefined ? ANONYMOUS : hash(`key ${key}`);
}

/**
 * With whom a request shares cached prompts: with those of the same salt. `caller` is left out where prompts may be
 * shared by all; `asked` is the request's `cache_salt`.
 */
export function cacheSaltOf(caller: string | undefined, asked: string | undefined, hash: KeyedHash): string {
  return asked === undefined ? (caller ?? "") : hash(`salt ${JSON.stringify([caller ?? "", asked])}`);
}
