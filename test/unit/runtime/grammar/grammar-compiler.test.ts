import assert from "node:assert/strict";
import { Ajv2020 } from "ajv/dist/2020.js";
import formats from "ajv-formats";
import fc from "fast-check";
import { Random } from "../../../../src/engine/sampling/random.js";
import type { Grammar, ToolCallGrammar } from "../../../../src/protocol.js";
import { GrammarCompiler } from "../../../../src/runtime/grammar/grammar-compiler.js";
import { GrammarLanguages } from "../../../../src/runtime/grammar/grammar-language.js";
import { schemaLanguage } from "../../../../src/runtime/grammar/schema-language.js";
import { specialBytes } from "../../../../src/runtime/grammar/special-bytes.js";
import { FALLBACK_FORMAT } from "../../../../src/runtime/text/tool-format.js";
import { allowedTokens, languages, vocabularyOf } from "../../../support/grammar.js";

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

/** Any JSON but members that the validator, which compares by `valueOf` and `toString`, takes for those methods. */
const constant = fc
  .jsonValue({ maxDepth: 1 })
  .filter((value) => !/"(valueOf|toString|constructor)":/.test(JSON.stringify(value)));

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
    fc.uniqueArray(constant, { minLength: 1, maxLength: 4 }).map((values) => ({ enum: values })),
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
      fc.asyncProperty(schema, fc.nat(2 ** 31), async (wanted, seed) => {
        const ajv = new Ajv2020({ strict: false });
        formats.default(ajv);
        const random = Random.seeded(seed);
        const grammar = { kind: "json_schema", schema: JSON.stringify(wanted) } as const;
        const output = await generate(grammar, () => random.nextFloat());
        runs++;
        if (!output.ended) return;
        ended++;
        const value: unknown = JSON.parse(output.text);
        const why = `${JSON.stringify(wanted)} lets ${output.text} through`;
        assert.ok(ajv.validate(wanted, value), `${why}: ${ajv.errorsText()}`);
      }),
      { numRuns: 60 },
    );
    assert.ok(ended > 0.9 * runs, `only ${ended} of ${runs} outputs came to an end`);
  }).timeout(20_000);

  it("lets through only objects where any object is asked for", async () => {
    for (let seed = 0; seed < 5; seed++) {
      const random = Random.seeded(seed);
      const { text, ended } = await generate({ kind: "json_object" }, () => random.nextFloat());
      const value: unknown = ended ? JSON.parse(text) : {};
      assert.ok(typeof value === "object" && value !== null && !Array.isArray(value));
    }
  });

  it("forbids exactly the tokens that the automaton does, and the stop token where the output may not end", async () => {
    const shared = { type: "string", maxLength: 3 };
    const wanted = { type: "object", properties: { a: shared, b: { anyOf: [shared, { type: "number" }] } } };
    const { derivatives, json } = languages();
    let state = schemaLanguage(json, derivatives, wanted);
    const constraint = await compiler.compile({ kind: "json_schema", schema: JSON.stringify(wanted) }, [STOP]);
    const bytes = TOKENS.map((token) => (token === undefined ? undefined : Buffer.from(token)));
    for (const piece of [
      "{",
      '"a": ',
      '"',
      "ä😀",
      "x",
      '", "',
      "b",
      '":',
      " ",
      '"',
      "\\",
      "u",
      "00",
      "4",
      "1",
      '"',
      "}",
    ]) {
      const logits = new Float32Array(LOGITS);
      constraint.mask(logits);
      const left = [...logits.keys()].filter((id) => logits[id] === 0);
      const allowed = allowedTokens(derivatives, state, bytes);
      assert.deepEqual(left, state.nullable ? [...allowed, STOP].sort((a, b) => a - b) : allowed, `before ${piece}`);
      const token = bytes.findIndex((token) => token?.equals(Buffer.from(piece)));
      constraint.accept(token);
      state = derivatives.run(state, Buffer.from(piece));
    }
    assert.ok(constraint.complete);
  });

  it("ends where nothing may follow, and only may end where something may", async () => {
    const of = (schema: object) => compiler.compile({ kind: "json_schema", schema: JSON.stringify(schema) }, [STOP]);
    const digit = "1".charCodeAt(0);
    const number = await of({ type: "integer" });
    number.accept(digit);
    assert.equal(number.complete, false);
    const logits = new Float32Array(LOGITS);
    number.mask(logits);
    assert.equal(logits[STOP], 0);
    assert.equal(logits[digit], 0);
    const one = await of({ const: 1 });
    one.accept(digit);
    assert.equal(one.complete, true);
    assert.throws(() => one.accept(digit), { code: "internal" });
  });

  it("refuses a bad schema by the name of its part", async () => {
    const bad = compiler.compile({ kind: "json_schema", schema: '{"items":{"type":"int"}}' }, []);
    await assert.rejects(bad, {
      code: "invalid_request",
      details: { param: "response_format.json_schema.schema.items.type" },
    });
  });

  it("refuses a pattern whose automaton is too large", async () => {
    const wanted = { pattern: "^(a|b)*a(a|b){200}c$", minLength: 900, maxLength: 1000 };
    const bad = compiler.compile({ kind: "json_schema", schema: JSON.stringify(wanted) }, []);
    await assert.rejects(bad, { code: "invalid_request", message: /is too complex/ });
  });

  it("reads the vocabulary again after it failed", async () => {
    let reads = 0;
    const failing = new GrammarCompiler("", LOGITS, async () => {
      if (reads++ === 0) throw new Error("no such file");
      return vocabularyOf(TOKENS);
    });
    await assert.rejects(failing.compile({ kind: "json_object" }, []), /no such file/);
    await failing.compile({ kind: "json_object" }, []);
    await failing.compile({ kind: "json_object" }, []);
    assert.equal(reads, 2);
  });
});

describe("tool grammars", () => {
  const tools = [
    { name: "look", parameters: '{"type":"object","properties":{"at":{"enum":["x"]}},"required":["at"]}' },
    { name: "wait", parameters: '{"type":"object","properties":{},"additionalProperties":false}' },
  ];
  const special = ["[TOOL_CALLS]"];
  const accepts = (fields: Partial<ToolCallGrammar>) => {
    const made = new GrammarLanguages();
    const defaults = { kind: "tool_calls", format: FALLBACK_FORMAT, tools, parallel: true, otherwise: "text" } as const;
    const language = made.of({ ...defaults, ...fields }, special);
    return (text: string | Uint8Array): boolean => {
      return made.derivatives.run(language, Buffer.from(text)).nullable;
    };
  };
  const look = '<tool_call>\n{"name": "look", "arguments": {"at":"x"}}\n</tool_call>';
  const wait = '<tool_call>\n{"name": "wait", "arguments": {}}\n</tool_call>';

  it("forces calls, several if they may be", () => {
    const several = accepts({ otherwise: "nothing" });
    assert.ok(several(look) && several(`${look}\n${wait}`));
    assert.ok(!several("Hello") && !several(`Hello${look}`) && !several(""));
    assert.ok(!several(look.replace('"x"', '"y"')) && !several(look.replace("look", "leap")));
    const single = accepts({ otherwise: "nothing", parallel: false });
    assert.ok(single(look) && !single(`${look}\n${wait}`));
  });

  it("takes any text, and calls from the marker on", () => {
    const auto = accepts({});
    for (const text of ["", "Hello <tool", "\u0000{[", look, `Let me see.\n${look}\n${wait}`])
      assert.ok(auto(text), text);
    for (const text of ["<tool_call>", "<tool_call>Hello", `${look} and so on`, `a${look}b`])
      assert.ok(!auto(text), text);
  });

  it("takes JSON of a schema instead of calls", () => {
    const either = accepts({ otherwise: { kind: "json_schema", schema: '{"type":"integer"}' } });
    assert.ok(either(look) && either("12") && !either("twelve"));
  });

  it("takes bare JSON for a call at the start, and asks for special tokens as such", () => {
    const bare = { open: '{"name": "', marker: "", middle: '", "parameters": ', between: undefined, close: "}" };
    const auto = accepts({ format: bare });
    assert.ok(auto('{"name": "wait", "parameters": {}}') && auto("Hello") && auto('{"nam'));
    assert.ok(!auto('{"name": "leap"'));
    const format = {
      open: '[TOOL_CALLS][{"name": "',
      marker: "[TOOL_CALLS]",
      middle: '", "arguments": ',
      between: undefined,
      close: "}]",
    };
    const marked = accepts({ format });
    const call = Buffer.from('[{"name": "wait", "arguments": {}}]');
    assert.ok(marked(Buffer.concat([specialBytes("[TOOL_CALLS]"), call])));
    assert.ok(!marked(Buffer.concat([specialBytes("[TOOL_CALLS]"), Buffer.from("Hello")])));
  });
});
