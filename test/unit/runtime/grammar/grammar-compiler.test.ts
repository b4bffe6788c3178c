import assert from "node:assert/strict";
import { Ajv2020 } from "ajv/dist/2020.js";
import formats from "ajv-formats";
import fc from "fast-check";
import type { Grammar } from "../../../../src/protocol.js";
import { GrammarCompiler } from "../../../../src/runtime/grammar/grammar-compiler.js";
import { vocabularyOf } from "../../../support/grammar.js";

/** All bytes, what tokenizers glue together, and a token to stop with. */
const PIECES = [
  ...'true false null {" "} ": ", ": [" "] ]} }} }, \\u00 \\n ä😀 \n\t 00 12 1.5 -1 e5 a" ab","'.split(" "),
  ", ",
  ': "',
  '", "',
  '":',
  '"a": ',
  "  ",
  "hello",
];
const TOKENS: readonly (string | Uint8Array | undefined)[] = [
  ...Array.from({ length: 256 }, (_, byte) => Uint8Array.of(byte)),
  ...PIECES,
  "",
  "a",
];
const STOP = TOKENS.length - 2;
/** More logits than tokens, as models pad them. */
const LOGITS = TOKENS.length + 5;

const compiler = new GrammarCompiler("", LOGITS, async () => vocabularyOf(TOKENS));

interface Output {
  readonly text: string;
  readonly ended: boolean;
}

/** An output drawn from random logits, in which what closes something is likelier the longer it gets. */
async function generate(grammar: Grammar, random: () => number, mostTokens = 600): Promise<Output> {
  const constraint = await compiler.compile(grammar, [STOP]);
  const bytes: Uint8Array[] = [];
  for (let step = 0; step < mostTokens; step++) {
    const logits = Float32Array.from({ length: LOGITS }, () => 10 * random());
    for (const closing of ['"', "}", "]"]) {
      const id = closing.charCodeAt(0);
      logits[id] = (logits[id] as number) + step / 10;
    }
    logits[STOP] = step / 10;
    constraint.mask(logits);
    const best = logits.reduce((best, logit, id) => (logit > (logits[best] as number) ? id : best), 0);
    assert.ok(Number.isFinite(logits[best]), "the mask leaves nothing");
    if (best === STOP) return { text: Buffer.concat(bytes).toString("utf8"), ended: true };
    const token = TOKENS[best];
    assert.ok(token !== undefined);
    bytes.push(Buffer.from(token));
    constraint.accept(best);
    if (constraint.complete) return { text: Buffer.concat(bytes).toString("utf8"), ended: true };
  }
  return { text: "", ended: false };
}

const name = fc.constantFrom("a", "b", "name", 'q"', "ä", "tag_1");

/** Schemas of every keyword that can be enforced, all of which something fits. */
const { schema } = fc.letrec<{ schema: object }>((tie) => ({
  schema: fc.oneof(
    { maxDepth: 4, depthSize: "small" },
    fc.constant({ type: "null" }),
    fc.constant({ type: ["boolean", "integer"] }),
    fc
      .tuple(fc.integer({ min: -200, max: 200 }), fc.nat(300), fc.boolean())
      .map(([low, width, whole]) => ({ type: whole ? "integer" : "number", minimum: low, maximum: low + width })),
    fc.tuple(fc.double({ min: -5, max: 5, noNaN: true }), fc.boolean()).map(([limit, low]) => ({
      type: "number",
      [low ? "exclusiveMinimum" : "exclusiveMaximum"]: Number(limit.toFixed(3)),
    })),
    fc.integer({ min: 1, max: 40 }).map((of) => ({ type: "integer", multipleOf: of, minimum: 3 })),
    fc.tuple(fc.nat(4), fc.nat(4)).map(([min, more]) => ({ type: "string", minLength: min, maxLength: min + more })),
    fc
      .constantFrom("^[a-f]{2,4}$", "x", "^\\w+@\\w+\\.(com|org)$", '^[^"]"\\\\?$', "^$")
      .map((pattern) => ({ type: "string", pattern })),
    fc
      .constantFrom("date", "time", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri")
      .map((format) => ({ type: "string", format })),
    fc.uniqueArray(fc.jsonValue({ maxDepth: 1 }), { minLength: 1, maxLength: 4 }).map((values) => ({ enum: values })),
    fc
      .tuple(tie("schema"), fc.nat(2), fc.nat(2))
      .map(([items, min, more]) => ({ type: "array", items, minItems: min, maxItems: min + more })),
    fc
      .tuple(fc.array(tie("schema"), { minLength: 1, maxLength: 3 }), fc.boolean())
      .map(([prefixItems, more]) => ({ type: "array", prefixItems, items: more })),
    fc.array(tie("schema"), { minLength: 1, maxLength: 3 }).map((anyOf) => ({ anyOf })),
    fc
      .tuple(
        fc.dictionary(name, tie("schema"), { maxKeys: 4 }),
        fc.array(name, { maxLength: 2 }),
        fc.option(fc.oneof(fc.boolean(), tie("schema"))),
      )
      .map(([properties, required, additionalProperties]) => ({
        type: "object",
        properties,
        required: [...new Set(required)].filter((key) => key in properties),
        ...(additionalProperties === null ? {} : { additionalProperties }),
      })),
  ),
}));

describe("GrammarCompiler", () => {
  it("lets through only what parses and validates, whatever the logits and the schema", async () => {
    let ended = 0;
    let runs = 0;
    await fc.assert(
      fc.asyncProperty(
        schema,
        fc.infiniteStream(fc.double({ min: 0, max: 1, noNaN: true })),
        async (wanted, stream) => {
          const ajv = new Ajv2020({ strict: false });
          formats.default(ajv);
          const output = await generate(
            { kind: "json_schema", schema: JSON.stringify(wanted) },
            () => stream.next().value,
          );
          runs++;
          if (!output.ended) return;
          ended++;
          const value: unknown = JSON.parse(output.text);
          assert.ok(
            ajv.validate(wanted, value),
            `${JSON.stringify(wanted)} lets ${output.text} through: ${ajv.errorsText()}`,
          );
        },
      ),
      { numRuns: 150 },
    );
    assert.ok(ended > 0.9 * runs, `only ${ended} of ${runs} outputs came to an end`);
  });
});
