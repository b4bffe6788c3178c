import {
  below,
  type Located,
  located,
  resolve,
  type Schema,
  SchemaError,
  type SchemaObject,
} from "./schema-document.js";
import { both, type Facts, type JsonType, noFacts } from "./schema-facts.js";
import { factsOf } from "./schema-keywords.js";

/** More would be a schema that multiplies its alternatives with each other. */
const MOST_ALTERNATIVES = 256;

/** Works out `$ref`, `allOf`, `anyOf` and `oneOf`: a schema as the alternatives of which one must hold. */
export class SchemaReader {
  constructor(private readonly root: Schema) {}

  /** The ways in which all of these schemas can hold together; none where they cannot. Throws SchemaError. */
  alternatives(schemas: readonly Located[], within: ReadonlySet<string> = new Set()): readonly Facts[] {
    const pointer = schemas[0]?.pointer ?? "#";
    return schemas.reduce<readonly Facts[]>(
      (alternatives, schema) => this.#product(alternatives, this.#expand(schema, within)),
      [noFacts(pointer)],
    );
  }

  #expand({ schema, pointer }: Located, within: ReadonlySet<string>): readonly Facts[] {
    if (schema === true) return [noFacts(pointer)];
    if (schema === false) return [];
    if (within.has(pointer)) throw new SchemaError(pointer, "refers to itself without anything in between");
    const inner = new Set([...within, pointer]);
    let alternatives: readonly Facts[] = [factsOf(schema, pointer)];
    if ("$ref" in schema) {
      alternatives = this.#product(alternatives, this.#expand(resolve(this.root, schema.$ref, pointer), inner));
    }
    for (const part of this.#list(schema, pointer, "allOf")) {
      alternatives = this.#product(alternatives, this.#expand(part, inner));
    }
    for (const keyword of ["anyOf", "oneOf"] as const) {
      if (!(keyword in schema)) continue;
      const branches = this.#list(schema, pointer, keyword).map((branch) => this.#expand(branch, inner));
      if (keyword === "oneOf") this.#refuseOverlap(branches, below(pointer, keyword));
      alternatives = this.#product(alternatives, branches.flat());
    }
    return alternatives;
  }

  #list(schema: SchemaObject, pointer: string, keyword: string): readonly Located[] {
    if (!(keyword in schema)) return [];
    const value = schema[keyword];
    const at = below(pointer, keyword);
    if (!Array.isArray(value) || value.length === 0) throw new SchemaError(at, "must be an array of schemas");
    return value.map((item: unknown, i) => located(item, below(at, i)));
  }

  #product(left: readonly Facts[], right: readonly Facts[]): readonly Facts[] {
    if (left.length * right.length > MOST_ALTERNATIVES) {
      const pointer = left[0]?.pointer ?? "#";
      throw new SchemaError(pointer, `has more than ${MOST_ALTERNATIVES} alternatives: split it`);
    }
    return left.flatMap((a) => right.map((b) => both(a, b)).filter(isPossible));
  }

  /** Of `oneOf` exactly one may hold: that is `anyOf` where no two can. */
  #refuseOverlap(branches: readonly (readonly Facts[])[], pointer: string): void {
    branches.forEach((branch, i) => {
      const overlaps = branches
        .slice(i + 1)
        .some((other) => branch.some((a) => other.some((b) => this.#overlap(a, b, 0))));
      if (overlaps) {
        throw new SchemaError(
          pointer,
          "has branches that one value may fit at once: use anyOf, or give each a required property with a const of its own",
        );
      }
    });
  }

  /** Whether a value that fits both is not ruled out. */
  #overlap(a: Facts, b: Facts, depth: number): boolean {
    const together = both(a, b);
    if (!isPossible(together)) return false;
    if (together.types.size !== 1 || !together.types.has("object") || depth > 4) return true;
    const shared = [...together.required].filter((name) =>
      together.objects.some(({ properties }) => properties.has(name)),
    );
    return !shared.some((name) => {
      const schemas = together.objects.flatMap(
        ({ properties, additional }) => properties.get(name) ?? additional ?? [],
      );
      const alternatives = this.alternatives(schemas);
      return alternatives.length === 0;
    });
  }
}

/** Cheap signs that nothing fits. */
function isPossible(facts: Facts): boolean {
  if (facts.values !== undefined) return facts.values.some((value) => hasType(value, facts.types));
  return facts.types.size > 0;
}

export function hasType(value: unknown, types: ReadonlySet<JsonType>): boolean {
  if (value === null) return types.has("null");
  if (Array.isArray(value)) return types.has("array");
  if (typeof value === "number") return types.has(Number.isInteger(value) ? "integer" : "number");
  return types.has(typeof value as JsonType);
}
