import { VitrineError } from "../../errors.js";
import type { Grammar, JsonGrammar } from "../../protocol.js";
import { Derivatives, TooComplex } from "./derivatives.js";
import { type Expr, Expressions } from "./expression.js";
import { JsonLanguage } from "./json-language.js";
import { located, type Schema, SchemaError } from "./schema-document.js";
import { schemaLanguage } from "./schema-language.js";
import { toolLanguage } from "./tool-language.js";

/** States that compiling may cost. */
const STATES_A_GRAMMAR = 100_000;

/** Characters of a schema: more would take long to read, and nobody writes so many. */
const MOST_CHARACTERS = 65_536;

/** Where a request has the schema of its answer. */
const SCHEMA_FIELD = "response_format.json_schema.schema";

/** Languages of grammars, made in one set of expressions, so that what they share is worked out once. */
export class GrammarLanguages {
  readonly derivatives = new Derivatives(new Expressions());
  readonly json = new JsonLanguage(this.derivatives.exprs);

  /** What strings are made of: the two items that nearly every grammar repeats. */
  get characters(): readonly Expr[] {
    return [this.json.character, this.json.canonicalCharacter];
  }

  /** Throws VitrineError `invalid_request`; its `param` names the part of the grammar. */
  of(grammar: Grammar, special: readonly string[] = []): Expr {
    if (grammar.kind !== "tool_calls") return this.#jsonOf(grammar, SCHEMA_FIELD);
    const { tools, otherwise } = grammar;
    const { never } = this.derivatives.exprs;
    return toolLanguage(this.derivatives, grammar, {
      parameters: tools.map(({ parameters }, i) => this.schema(parameters, `tools[${i}].function.parameters`)),
      otherwise:
        otherwise === "text" ? undefined : otherwise === "nothing" ? never : this.#jsonOf(otherwise, SCHEMA_FIELD),
      special,
    });
  }

  #jsonOf(grammar: JsonGrammar, name: string): Expr {
    return grammar.kind === "json_object" ? this.json.object : this.schema(grammar.schema, name);
  }

  /** @param name what the schema is called where it comes from */
  schema(text: string, name: string): Expr {
    this.derivatives.budget = STATES_A_GRAMMAR;
    try {
      if (text.length > MOST_CHARACTERS) throw new SchemaError("#", `has more than ${MOST_CHARACTERS} characters`);
      const { schema } = located(JSON.parse(text) as unknown, "#");
      return schemaLanguage(this.json, this.derivatives, schema as Schema);
    } catch (thrown) {
      if (thrown instanceof TooComplex || thrown instanceof RangeError) throw refusal(name, "#", "is too complex");
      if (thrown instanceof SchemaError) throw refusal(name, thrown.pointer, thrown.message);
      throw thrown;
    }
  }
}

function refusal(name: string, pointer: string, message: string): VitrineError {
  const steps = pointer.split("/").slice(1);
  const param = [name, ...steps.map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"))].join(".");
  return new VitrineError("invalid_request", `\`${param}\` ${message}.`, { param });
}
