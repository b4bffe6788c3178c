/** A JSON Schema (draft 2020-12, and what drafts 4 to 7 wrote otherwise). */
export type Schema = boolean | SchemaObject;
export type SchemaObject = Readonly<Record<string, unknown>>;

/** A schema and where it stands in its document, as a JSON pointer (RFC 6901) after `#`. */
export interface Located {
  readonly schema: Schema;
  readonly pointer: string;
}

/** What no schema speaks of may be anything. */
export const ANYTHING: Located = { schema: true, pointer: "true" };

/** A schema that cannot be held to; `pointer` tells which part, `message` completes a sentence that names it. */
export class SchemaError extends Error {
  constructor(
    readonly pointer: string,
    message: string,
  ) {
    super(message);
  }
}

/** The schema of `value`; throws SchemaError where it is none. */
export function located(value: unknown, pointer: string): Located {
  if (typeof value === "boolean") return { schema: value, pointer };
  if (isObject(value)) return { schema: value, pointer };
  throw new SchemaError(pointer, "must be a schema: an object, true or false");
}

export function isObject(value: unknown): value is SchemaObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export const below = (pointer: string, ...keys: readonly (string | number)[]): string =>
  [pointer, ...keys.map((key) => String(key).replaceAll("~", "~0").replaceAll("/", "~1"))].join("/");

/** What a `$ref` within the document points at. */
export function resolve(root: Schema, reference: unknown, from: string): Located {
  const bad = (why: string): SchemaError => new SchemaError(from, `has a $ref ${why}`);
  if (typeof reference !== "string" || !/^#(?:\/|$)/.test(reference)) {
    throw bad('to somewhere else: only "#" and "#/…", parts of the same schema, can be followed');
  }
  let value: unknown = root;
  for (const part of reference.split("/").slice(1)) {
    const key = decode(part).replaceAll("~1", "/").replaceAll("~0", "~");
    const held: unknown = isObject(value) || Array.isArray(value) ? (value as SchemaObject) : undefined;
    if (held === undefined || !Object.hasOwn(held as object, key)) throw bad("to a part that does not exist");
    value = (held as SchemaObject)[key];
  }
  return located(value, reference);
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** The same JSON value, members in any order. */
export function sameJson(a: unknown, b: unknown): boolean {
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((item, i) => sameJson(item, b[i]));
  if (!isObject(a) || !isObject(b)) return a === b;
  const keys = Object.keys(a);
  return (
    keys.length === Object.keys(b).length && keys.every((key) => Object.hasOwn(b, key) && sameJson(a[key], b[key]))
  );
}
