import type { Derivatives } from "./derivatives.js";
import type { Expr } from "./expression.js";
import type { JsonLanguage } from "./json-language.js";
import { ANYTHING, below, type Located, SchemaError } from "./schema-document.js";
import type { Facts, ObjectShape } from "./schema-facts.js";

/** The schema around an object: what makes languages of its parts. */
export interface SchemaContext {
  readonly json: JsonLanguage;
  readonly derivatives: Derivatives;
  /** The values that fit all of these schemas. */
  valueOf(schemas: readonly Located[]): Expr;
  /** The characters between the quotes of the strings that fit all of these schemas. */
  charactersOf(schemas: readonly Located[]): Expr;
  /** The texts that match. Throws SchemaError, which says that the pattern stands at `pointer`. */
  patternOf(pattern: string, pointer: string): Expr;
}

/** The objects that fit: the declared members in their order, then others as far as they are allowed. */
export function objectLanguage(context: SchemaContext, facts: Facts): Expr {
  return new ObjectLanguage(context, facts).language();
}

interface Member {
  readonly expr: Expr;
  readonly required: boolean;
}

class ObjectLanguage {
  readonly #names: readonly string[];

  constructor(
    private readonly context: SchemaContext,
    private readonly facts: Facts,
  ) {
    const declared = facts.objects.flatMap(({ properties }) => [...properties.keys()]);
    this.#names = [...new Set([...declared, ...facts.required])];
  }

  language(): Expr {
    const { json } = this.context;
    const { exprs } = json;
    const members = this.#members();
    if (members === undefined) return exprs.never;
    const others = this.#others();
    const [min, max] = this.#counts(members, others !== exprs.never);
    // `[0]`: nothing precedes; `[1]`: a member does.
    const more = exprs.repeat(exprs.seq(json.comma, others), min, max);
    let rest: readonly [Expr, Expr] = [json.list(others, min, max), more];
    if (others === exprs.never) rest = [exprs.empty, exprs.empty];
    for (const { expr, required } of [...members].reverse()) {
      const [first, later] = rest;
      const alone = exprs.seq(expr, later);
      const after = exprs.seq(json.comma, alone);
      rest = required ? [alone, after] : [exprs.alt(alone, first), exprs.alt(after, later)];
    }
    return json.objectOf(rest[0]);
  }

  /** Undefined where a required one fits nothing. */
  #members(): readonly Member[] | undefined {
    const { json } = this.context;
    const members: Member[] = [];
    for (const name of this.#names) {
      const required = this.facts.required.has(name);
      const key = JSON.stringify(name);
      const named = this.context.derivatives.accepts(this.#keys(), key.slice(1, -1));
      const value = named ? this.context.valueOf(this.#schemasOf(name)) : json.exprs.never;
      const expr = json.member(json.exprs.literal(key), value);
      if (expr !== json.exprs.never) members.push({ expr, required });
      else if (required) return undefined;
    }
    return members;
  }

  #schemasOf(name: string): readonly Located[] {
    const schemas = this.facts.objects.flatMap((shape) => {
      const own = shape.properties.get(name);
      const matching = [...shape.patternProperties]
        .filter(([pattern]) => matches(pattern, name))
        .map(([, schema]) => schema);
      const known = own === undefined ? matching : [own, ...matching];
      return known.length > 0 ? known : (shape.additional ?? []);
    });
    return schemas.length > 0 ? schemas : [ANYTHING];
  }

  /** What a key may be, between its quotes. */
  #keys(): Expr {
    const { propertyNames } = this.facts;
    const { exprs } = this.context.json;
    if (propertyNames.length > 0) return this.context.charactersOf(propertyNames);
    return exprs.repeat(this.context.json.canonicalCharacter);
  }

  /** One member that `properties` does not name. */
  #others(): Expr {
    const { json, derivatives } = this.context;
    const { exprs } = json;
    const { objects } = this.facts;
    if (this.facts.maxProperties <= this.facts.required.size || !allowsOthers(objects)) return exprs.never;
    const patterned = objects.filter(({ patternProperties }) => patternProperties.size > 0);
    if (patterned.length > 1) {
      throw new SchemaError(this.facts.pointer, "combines several patternProperties, which cannot be enforced");
    }
    const declared = exprs.alt(...this.#names.map((name) => exprs.literal(JSON.stringify(name).slice(1, -1))));
    const free = [this.#keys(), exprs.not(declared)];
    const patterns = patterned.flatMap(({ patternProperties }) => [...patternProperties]);
    const pointer = below(this.facts.pointer, "patternProperties");
    const languages = patterns.map(([pattern]) => this.context.patternOf(pattern, pointer));
    const options = patterns.map(([, schema], i) => {
      const unlike = languages.filter((_, j) => j !== i).map((language) => exprs.not(language));
      const keys = derivatives.and(...free, languages[i] as Expr, ...unlike);
      const elsewhere = objects.flatMap((shape) => (shape === patterned[0] ? [] : (shape.additional ?? [])));
      return json.member(json.quoted(keys), this.context.valueOf([schema, ...elsewhere]));
    });
    const keys = derivatives.and(...free, ...languages.map((language) => exprs.not(language)));
    const additional = objects.flatMap((shape) => shape.additional ?? []);
    if (additional.length > 0 || patterns.length === 0) {
      const value = this.context.valueOf(additional.length > 0 ? additional : [ANYTHING]);
      options.push(json.member(json.quoted(keys), value));
    }
    return exprs.alt(...options);
  }

  /** How many other members there may be. Keys may repeat, so only one of them surely counts. */
  #counts(members: readonly Member[], others: boolean): readonly [number, number] {
    const { minProperties, maxProperties, pointer } = this.facts;
    const required = members.filter((member) => member.required).length;
    const missing = minProperties - required;
    const optional = members.length - required;
    if (missing > (others && optional === 0 ? 1 : 0)) {
      throw new SchemaError(below(pointer, "minProperties"), "cannot be enforced: name as many in required");
    }
    const room = maxProperties - members.length;
    if (room < 0)
      throw new SchemaError(below(pointer, "maxProperties"), "cannot be enforced below the number of properties");
    return [Math.max(missing, 0), room];
  }
}

/** Other members are written where a schema speaks of them, or none names any. */
function allowsOthers(objects: readonly ObjectShape[]): boolean {
  const speaks = objects.some(
    ({ additional, patternProperties }) => additional !== undefined || patternProperties.size > 0,
  );
  return speaks || objects.every(({ properties }) => properties.size === 0);
}

function matches(pattern: string, name: string): boolean {
  try {
    return new RegExp(pattern, "u").test(name);
  } catch {
    return false;
  }
}
