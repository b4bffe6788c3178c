import { createHash } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";

/** What came as `authorization: Bearer …`, else as `x-api-key`. It is for hashing at once, and kept nowhere. */
export function apiKeyOf(headers: IncomingHttpHeaders): string | undefined {
  const bearer = /^bearer +(\S+) *$/i.exec(headers.authorization ?? "")?.[1];
  const header = headers["x-api-key"];
  return bearer ?? (typeof header === "string" && header !== "" ? header : undefined);
}

/** SHA-256 of the key in hex, as `printf %s "$KEY" | sha256sum` prints it. */
export function apiKeyHash(headers: IncomingHttpHeaders): string | undefined {
  const key = apiKeyOf(headers);
  return key === undefined ? undefined : createHash("sha256").update(key).digest("hex");
}
