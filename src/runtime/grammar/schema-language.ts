import type { Derivatives } from "./derivatives.js";
import type { Expr, Rule } from "./expression.js";
import type { JsonLanguage } from "./json-language.js";
import { NumberRange } from "./number-range.js";
import { objectLanguage, type SchemaContext } from "./object-language.js";
import { PatternError, patternLanguage } from "./pattern.js";
import { productive } from "./productive.js";
import { hasType, SchemaReader } from "./schema-alternatives.js";
import { ANYTHING, below, type Located, located, type Schema, SchemaError } from "./schema-document.js";
import type { Facts, JsonType } from "./schema-facts.js";

/**
 * The JSON texts that validate against `schema`: all of them do; not every valid one is among them. Members come in the order of
 * `properties`; those that no keyword names come only where `additionalProperties` or `patternProperties` says so, or nothing
 * is said of properties at all; a schema without `type` means the types that its keywords speak of. Throws SchemaError.
 */
export function schemaLanguage(json: JsonLanguage, derivatives: Derivatives, schema: Schema): Expr {
  const language = new SchemaLanguage(json, derivatives, schema).whole();
  if (language === json.exprs.never) throw new SchemaError("#", "fits no value at all");
  return language;
}

class SchemaLanguage implements SchemaContext {
  readonly #reader: SchemaReader;
  readonly #numbers: NumberRange;
  readonly #rules = new Map<string, { readonly rule: Rule; used: boolean; expr: Expr | undefined }>();

  constructor(
    readonly json: JsonLanguage,
    readonly derivatives: Derivatives,
    private readonly schema: Schema,
  ) {
    this.#reader = new SchemaReader(schema);
    this.#numbers = new NumberRange(derivatives);
  }

  whole(): Expr {
    const expr = this.valueOf([located(this.schema, "#")]);
    for (const { rule, used } of this.#rules.values()) {
      if (used && !productive(rule)) {
        throw new SchemaError(
          rule.name,
          "holds itself without an end: make a property of it optional, or null possible",
        );
      }
    }
    return expr;
  }

  /** Schemas that lead back to themselves become rules. */
  valueOf(schemas: readonly Located[]): Expr {
    const key = [...new Set(schemas.map(({ pointer }) => pointer))].sort().join(" ");
    const known = this.#rules.get(key);
    if (known?.expr !== undefined) return known.expr;
    if (known !== undefined) {
      known.used = true;
      return this.json.exprs.rule(known.rule);
    }
    const entry = {
      rule: { name: schemas[0]?.pointer ?? "#", body: undefined } as Rule,
      used: false,
      expr: undefined as Expr | undefined,
    };
    this.#rules.set(key, entry);
    const body = this.json.exprs.alt(...this.#reader.alternatives(schemas).map((facts) => this.#language(facts)));
    entry.rule.body = body;
    entry.expr = entry.used ? this.json.exprs.rule(entry.rule) : body;
    return entry.expr;
  }

  charactersOf(schemas: readonly Located[]): Expr {
    const { exprs } = this.json;
    const options = this.#reader.alternatives(schemas).map((facts) => {
      if (!typesOf(facts).has("string")) return exprs.never;
      const characters = this.#characters(facts, "canonical");
      const values = facts.values?.filter((value) => typeof value === "string");
      const literals = values?.map((value) => exprs.literal(JSON.stringify(value).slice(1, -1)));
      return literals === undefined ? characters : this.derivatives.and(exprs.alt(...literals), characters);
    });
    return exprs.alt(...options);
  }

  #language(facts: Facts): Expr {
    const { exprs } = this.json;
    const { values, ...rest } = facts;
    if (values !== undefined) {
      const fitting = values.filter((value) => hasType(value, facts.types));
      if (facts.narrows.size === 0) return exprs.alt(...fitting.map((value) => exprs.literal(JSON.stringify(value))));
      const language = this.#language(rest);
      const texts = fitting.map((value) => JSON.stringify(value));
      return exprs.alt(
        ...texts.filter((text) => this.derivatives.accepts(language, text)).map((text) => exprs.literal(text)),
      );
    }
    const types = typesOf(facts);
    if (types.size === 7 && facts.narrows.size === 0) return this.json.value;
    return exprs.alt(...[...types].map((type) => this.#ofType(type, facts)));
  }

  #ofType(type: JsonType, facts: Facts): Expr {
    const { exprs } = this.json;
    switch (type) {
      case "null":
        return exprs.literal("null");
      case "boolean":
        return exprs.alt(exprs.literal("true"), exprs.literal("false"));
      case "integer":
      case "number":
        return this.#number(type, facts);
      case "string":
        return this.json.quoted(this.#characters(facts));
      case "array":
        return this.#array(facts);
      case "object":
        return objectLanguage(this, facts);
    }
  }

  #number(type: "integer" | "number", { low, high, multipleOf, pointer }: Facts): Expr {
    const { json, derivatives } = this;
    const shape = type === "integer" ? json.integer : json.number;
    if (low === undefined && high === undefined && multipleOf.length === 0) return shape;
    const range = low === undefined && high === undefined ? json.exprs.any : this.#numbers.numbers(low, high);
    if (range === undefined) throw new SchemaError(pointer, "has limits too large or too fine to be enforced");
    return derivatives.and(shape, range, ...multipleOf.map((of) => this.#numbers.multiples(of)));
  }

  /** A pattern is held against the one way that JSON.stringify writes a string. */
  #characters({ minLength, maxLength, patterns, pointer }: Facts, written: "canonical" | "freely" = "freely"): Expr {
    const { json, derivatives } = this;
    const { exprs } = json;
    if (patterns.length === 0 && written === "freely") return exprs.repeat(json.character, minLength, maxLength);
    const anyLength = minLength === 0 && maxLength === Number.POSITIVE_INFINITY && patterns.length > 0;
    const lengths = anyLength ? exprs.any : exprs.repeat(json.canonicalCharacter, minLength, maxLength);
    const fitting = patterns.map((pattern) => this.patternOf(pattern, below(pointer, "pattern")));
    return derivatives.and(lengths, ...fitting);
  }

  patternOf(pattern: string, pointer: string): Expr {
    try {
      return patternLanguage(this.json, pattern);
    } catch (thrown) {
      if (thrown instanceof PatternError) throw new SchemaError(pointer, thrown.message);
      throw thrown;
    }
  }

  #array({ arrays, minItems, maxItems, pointer }: Facts): Expr {
    const { json } = this;
    const { exprs } = json;
    const places = Math.min(Math.max(0, ...arrays.map(({ prefix }) => prefix.length)), maxItems);
    const at = (place: number): Expr =>
      this.valueOf(arrays.flatMap(({ prefix, rest }) => prefix[place] ?? rest ?? []).concat(ANYTHING));
    const others = maxItems > places ? at(places) : exprs.never;
    if (places === 0) return json.arrayOf(json.list(others, minItems, maxItems));
    const least = Math.max(minItems - places, 0);
    let items = exprs.repeat(exprs.seq(json.comma, others), least, Math.max(maxItems - places, 0));
    if (items === exprs.never && least > 0) throw new SchemaError(pointer, "asks for more items than it allows");
    for (let place = places - 1; place >= 0; place--) {
      const item = exprs.all(place === 0 ? exprs.empty : json.comma, at(place), items);
      items = place < minItems ? item : exprs.optional(item);
    }
    return json.arrayOf(items);
  }
}

/** Without a word on types, those that the other keywords speak of. */
function typesOf({ types, narrows }: Facts): ReadonlySet<JsonType> {
  const free = types.size === 7 && narrows.size > 0;
  const of = (type: JsonType): boolean => narrows.has(type === "integer" ? "number" : (type as "number"));
  const kept = free ? [...types].filter(of) : [...types];
  // A number's language holds the integers.
  return new Set(kept.includes("number") ? kept.filter((type) => type !== "integer") : kept);
}
