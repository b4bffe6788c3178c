import type { NumberLimit } from "./number-range.js";
import { type Located, sameJson } from "./schema-document.js";

export const JSON_TYPES = ["null", "boolean", "integer", "number", "string", "array", "object"] as const;
export type JsonType = (typeof JSON_TYPES)[number];

/** What one schema says of the members of an object. */
export interface ObjectShape {
  readonly properties: ReadonlyMap<string, Located>;
  readonly patternProperties: ReadonlyMap<string, Located>;
  readonly additional: Located | undefined;
}

/** What one schema says of the items of an array. */
export interface ArrayShape {
  readonly prefix: readonly Located[];
  readonly rest: Located | undefined;
}

/** All that is demanded of a value, combinators worked out: the conjunction of what several schemas say. */
export interface Facts {
  readonly pointer: string;
  readonly types: ReadonlySet<JsonType>;
  /** The only values allowed. */
  readonly values?: readonly unknown[];
  readonly low?: NumberLimit;
  readonly high?: NumberLimit;
  readonly multipleOf: readonly number[];
  readonly minLength: number;
  readonly maxLength: number;
  readonly patterns: readonly string[];
  readonly arrays: readonly ArrayShape[];
  readonly minItems: number;
  readonly maxItems: number;
  readonly objects: readonly ObjectShape[];
  readonly required: ReadonlySet<string>;
  readonly propertyNames: readonly Located[];
  readonly minProperties: number;
  readonly maxProperties: number;
  /** Keywords that narrow it, by the type they narrow; `type`, `enum` and `const` not among them. */
  readonly narrows: ReadonlySet<"number" | "string" | "array" | "object">;
}

export function noFacts(pointer: string): Facts {
  return {
    pointer,
    types: new Set(JSON_TYPES),
    multipleOf: [],
    minLength: 0,
    maxLength: Number.POSITIVE_INFINITY,
    patterns: [],
    arrays: [],
    minItems: 0,
    maxItems: Number.POSITIVE_INFINITY,
    objects: [],
    required: new Set(),
    propertyNames: [],
    minProperties: 0,
    maxProperties: Number.POSITIVE_INFINITY,
    narrows: new Set(),
  };
}

/** What both say. */
export function both(a: Facts, b: Facts): Facts {
  const values =
    a.values && b.values
      ? a.values.filter((value) => b.values?.some((other) => sameJson(value, other)))
      : (a.values ?? b.values);
  const low = tighter(a.low, b.low, (x, y) => x > y);
  const high = tighter(a.high, b.high, (x, y) => x < y);
  return {
    pointer: a.pointer,
    types: new Set([...a.types].filter((type) => b.types.has(type))),
    ...(values === undefined ? {} : { values }),
    ...(low === undefined ? {} : { low }),
    ...(high === undefined ? {} : { high }),
    multipleOf: [...a.multipleOf, ...b.multipleOf],
    minLength: Math.max(a.minLength, b.minLength),
    maxLength: Math.min(a.maxLength, b.maxLength),
    patterns: [...a.patterns, ...b.patterns],
    arrays: [...a.arrays, ...b.arrays],
    minItems: Math.max(a.minItems, b.minItems),
    maxItems: Math.min(a.maxItems, b.maxItems),
    objects: [...a.objects, ...b.objects],
    required: new Set([...a.required, ...b.required]),
    propertyNames: [...a.propertyNames, ...b.propertyNames],
    minProperties: Math.max(a.minProperties, b.minProperties),
    maxProperties: Math.min(a.maxProperties, b.maxProperties),
    narrows: new Set([...a.narrows, ...b.narrows]),
  };
}

function tighter(
  a: NumberLimit | undefined,
  b: NumberLimit | undefined,
  beyond: (x: number, y: number) => boolean,
): NumberLimit | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  if (a.value === b.value) return a.exclusive ? a : b;
  return beyond(a.value, b.value) ? a : b;
}
