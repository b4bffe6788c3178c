import { FORMATS } from "./formats.js";
import { below, isObject, type Located, located, SchemaError, type SchemaObject } from "./schema-document.js";
import { both, type Facts, JSON_TYPES, type JsonType, noFacts, type ObjectShape } from "./schema-facts.js";

/** Keywords that say nothing of validity. Names beginning with `x-` are among them. */
const ANNOTATIONS = new Set(
  "title description default examples example $schema $id id $comment $defs definitions deprecated readOnly writeOnly contentEncoding contentMediaType discriminator".split(
    " ",
  ),
);

/** Keywords that the reader of combinators looks at, and those that are read together. */
const READ_ELSEWHERE = new Set(
  "$ref allOf anyOf oneOf properties patternProperties additionalProperties prefixItems items additionalItems".split(
    " ",
  ),
);

/**
 * What a schema says by itself, its combinators aside. Throws SchemaError for a keyword that cannot be enforced. A format
 * that is not known has its say where a pattern stands beside it, as Zod writes its own (`cuid2`, `base64`).
 */
export function factsOf(schema: SchemaObject, pointer: string): Facts {
  let facts = noFacts(pointer);
  for (const [keyword, value] of Object.entries(schema)) {
    if (ANNOTATIONS.has(keyword) || READ_ELSEWHERE.has(keyword) || keyword.startsWith("x-")) continue;
    if (keyword === "format" && "pattern" in schema && formatPattern(value) === undefined) continue;
    const read = Object.hasOwn(KEYWORDS, keyword) ? KEYWORDS[keyword] : undefined;
    if (read === undefined)
      throw new SchemaError(pointer, `has \`${keyword}\`, which cannot be enforced: leave it out`);
    facts = both(facts, { ...noFacts(pointer), ...read(value, below(pointer, keyword)) });
  }
  return both(facts, { ...noFacts(pointer), ...objectShape(schema, pointer), ...arrayShape(schema, pointer) });
}

function objectShape(schema: SchemaObject, pointer: string): Partial<Facts> {
  const map = (keyword: string): ReadonlyMap<string, Located> =>
    keyword in schema ? schemaMap(schema[keyword], below(pointer, keyword)) : new Map();
  if (!["properties", "patternProperties", "additionalProperties"].some((keyword) => keyword in schema)) return {};
  const shape: ObjectShape = {
    properties: map("properties"),
    patternProperties: map("patternProperties"),
    additional: schemaAt(schema, pointer, "additionalProperties"),
  };
  return { objects: [shape], narrows: new Set(["object"]) };
}

/** Drafts before 2020-12 wrote `prefixItems` as an array of `items`, and what follows them as `additionalItems`. */
function arrayShape(schema: SchemaObject, pointer: string): Partial<Facts> {
  if (!["prefixItems", "items"].some((keyword) => keyword in schema)) return {};
  const old = Array.isArray(schema.items);
  const keyword = old ? "items" : "prefixItems";
  const prefix = keyword in schema ? schemaList(schema[keyword], below(pointer, keyword)) : [];
  const rest = schemaAt(schema, pointer, old ? "additionalItems" : "items");
  return { arrays: [{ prefix, rest }], narrows: new Set(["array"]) };
}

function schemaAt(schema: SchemaObject, pointer: string, keyword: string): Located | undefined {
  return keyword in schema ? located(schema[keyword], below(pointer, keyword)) : undefined;
}

type Reader = (value: unknown, pointer: string) => Partial<Facts>;

const narrows = (type: "number" | "string" | "array" | "object"): Pick<Facts, "narrows"> => ({
  narrows: new Set([type]),
});

const limit =
  (side: "low" | "high", exclusive: boolean): Reader =>
  (value, pointer) => {
    if (typeof value !== "number") throw new SchemaError(pointer, "must be a number");
    return { [side]: { value, exclusive }, ...narrows("number") };
  };

const count =
  (name: keyof Facts, type: "string" | "array" | "object"): Reader =>
  (value, pointer) => {
    if (!Number.isSafeInteger(value) || (value as number) < 0) {
      throw new SchemaError(pointer, "must be a whole number of at least 0");
    }
    return { [name]: value, ...narrows(type) };
  };

const KEYWORDS: Readonly<Record<string, Reader>> = {
  type: (value, pointer) => ({ types: typesOf(value, pointer) }),
  enum: (value, pointer) => {
    if (!Array.isArray(value) || value.length === 0) throw new SchemaError(pointer, "must be an array of values");
    return { values: value };
  },
  const: (value) => ({ values: [value] }),
  minimum: limit("low", false),
  exclusiveMinimum: limit("low", true),
  maximum: limit("high", false),
  exclusiveMaximum: limit("high", true),
  multipleOf: (value, pointer) => {
    if (Number.isSafeInteger(value) && (value as number) >= 1 && (value as number) <= MOST_MULTIPLE) {
      return { multipleOf: [value as number], types: new Set(["integer", ...NO_NUMBERS]), ...narrows("number") };
    }
    throw new SchemaError(pointer, `cannot be enforced unless it is a whole number from 1 to ${MOST_MULTIPLE}`);
  },
  minLength: count("minLength", "string"),
  maxLength: count("maxLength", "string"),
  pattern: (value, pointer) => {
    if (typeof value !== "string") throw new SchemaError(pointer, "must be a string");
    return { patterns: [value], ...narrows("string") };
  },
  format: (value, pointer) => {
    const pattern = formatPattern(value);
    if (pattern !== undefined) return { patterns: [pattern], ...narrows("string") };
    throw new SchemaError(pointer, `cannot be enforced: the formats are ${Object.keys(FORMATS).join(", ")}`);
  },
  minItems: count("minItems", "array"),
  maxItems: count("maxItems", "array"),
  required: (value, pointer) => {
    if (!Array.isArray(value) || !value.every((name) => typeof name === "string")) {
      throw new SchemaError(pointer, "must be an array of property names");
    }
    return { required: new Set(value as string[]), ...narrows("object") };
  },
  propertyNames: (value, pointer) => ({ propertyNames: [located(value, pointer)], ...narrows("object") }),
  minProperties: count("minProperties", "object"),
  maxProperties: count("maxProperties", "object"),
};

const formatPattern = (name: unknown): string | undefined =>
  typeof name === "string" && Object.hasOwn(FORMATS, name) ? FORMATS[name] : undefined;

const MOST_MULTIPLE = 10_000;
const NO_NUMBERS = JSON_TYPES.filter((type) => type !== "integer" && type !== "number");

function typesOf(value: unknown, pointer: string): ReadonlySet<JsonType> {
  const names: readonly unknown[] = Array.isArray(value) ? value : [value];
  if (names.length === 0 || !names.every((name) => JSON_TYPES.includes(name as JsonType))) {
    throw new SchemaError(pointer, `must be one or more of ${JSON_TYPES.join(", ")}`);
  }
  const types = new Set(names as JsonType[]);
  // Every integer is a number.
  if (types.has("number")) types.add("integer");
  return types;
}

function schemaList(value: unknown, pointer: string): readonly Located[] {
  if (!Array.isArray(value)) throw new SchemaError(pointer, "must be an array of schemas");
  return value.map((item: unknown, i) => located(item, below(pointer, i)));
}

function schemaMap(value: unknown, pointer: string): ReadonlyMap<string, Located> {
  if (!isObject(value)) throw new SchemaError(pointer, "must be an object of schemas");
  return new Map(Object.entries(value).map(([name, item]) => [name, located(item, below(pointer, name))]));
}
