import assert from "node:assert/strict";
import { SchemaError } from "../../../../src/runtime/grammar/schema-document.js";
import { acceptor } from "../../../support/grammar.js";

interface Case {
  readonly schema: unknown;
  readonly good: readonly string[];
  readonly bad: readonly string[];
}

const ab = { properties: { a: { type: "integer" }, b: { type: "string" } } };

const CASES: Readonly<Record<string, Case>> = {
  "true, anything": { schema: true, good: ["1", "null", '[{"a":[]}]', '"x"'], bad: ["", "nul", "[1,]", "01", "+1"] },
  type: { schema: { type: "boolean" }, good: ["true", "false"], bad: ["1", '"true"', "null"] },
  "type, several": { schema: { type: ["integer", "null"] }, good: ["7", "null", "-7"], bad: ["7.5", "true"] },
  number: { schema: { type: "number" }, good: ["0", "-1.25", "1e9", "2E-3"], bad: ["1.", ".5", "1e999", "NaN", "00"] },
  enum: {
    schema: { enum: ["a", 1, null, { k: [1] }] },
    good: ['"a"', "1", "null", '{"k":[1]}'],
    bad: ['"b"', "2", "{}"],
  },
  "enum and type": { schema: { enum: ["a", 1], type: "string" }, good: ['"a"'], bad: ["1"] },
  "enum and limits": { schema: { enum: [1, 5, 9], minimum: 4, maximum: 8 }, good: ["5"], bad: ["1", "9"] },
  const: { schema: { const: 'it\'s "so"' }, good: ['"it\'s \\"so\\""'], bad: ['"it"'] },
  minimum: { schema: { type: "integer", minimum: 7 }, good: ["7", "10", "123456"], bad: ["6", "0", "-8"] },
  maximum: {
    schema: { type: "integer", maximum: 120 },
    good: ["120", "99", "0", "-5000"],
    bad: ["121", "200", "1000"],
  },
  "negative limits": {
    schema: { type: "integer", minimum: -12, maximum: -3 },
    good: ["-3", "-12", "-9"],
    bad: ["-2", "-13", "3", "0"],
  },
  "limits across 0": {
    schema: { type: "integer", minimum: -12, maximum: 3 },
    good: ["-12", "0", "3"],
    bad: ["-13", "4", "12"],
  },
  "limits of a number": {
    schema: { type: "number", minimum: 0.25, maximum: 1.5 },
    good: ["0.25", "0.3", "1", "1.5", "1.50", "1.25"],
    bad: ["0.2", "0", "0.249", "1.51", "2", "1e0", "-0.5"],
  },
  "exclusive limits": {
    schema: { type: "number", exclusiveMinimum: 0, exclusiveMaximum: 1 },
    good: ["0.1", "0.00001", "0.999"],
    bad: ["0", "0.0", "1", "1.0", "-0.5"],
  },
  "exclusive maximum 0": {
    schema: { type: "integer", exclusiveMaximum: 0 },
    good: ["-1", "-10"],
    bad: ["0", "-0", "1"],
  },
  multipleOf: {
    schema: { type: "integer", multipleOf: 15, maximum: 100 },
    good: ["0", "15", "90", "-30"],
    bad: ["7", "105", "16"],
  },
  "minLength, maxLength": {
    schema: { type: "string", minLength: 2, maxLength: 3 },
    good: ['"ab"', '"äöü"', '"\\n\\u0041"', '"😀x"'],
    bad: ['"a"', '"abcd"', '""'],
  },
  string: {
    schema: { type: "string" },
    good: ['"\\u00e4"', '"\\\\"', '"\\/"'],
    bad: ['"\n"', '"\\x"', '"\\ud800"', '"a', "'a'"],
  },
  pattern: {
    schema: { type: "string", pattern: "^[A-Z]{2}-\\d+$" },
    good: ['"AB-1"', '"ZZ-123"'],
    bad: ['"A-1"', '"AB-"', '"xAB-1"'],
  },
  "pattern, not anchored": { schema: { pattern: "b" }, good: ['"b"', '"abc"', '"\\nb"'], bad: ['"a"', '""', "1"] },
  "pattern of what JSON escapes": { schema: { pattern: '^["\\\\\\n]+$' }, good: ['"\\"\\\\\\n"'], bad: ['"n"'] },
  "pattern and length": {
    schema: { pattern: "^[a-z]+$", maxLength: 3 },
    good: ['"abc"', '"a"'],
    bad: ['"abcd"', '"A"'],
  },
  "pattern with groups": {
    schema: { pattern: "^(?:ab|(?<n>cd))?(e|f){2,3}$" },
    good: ['"abef"', '"cdeee"', '"ef"'],
    bad: ['"abe"', '"effff"'],
  },
  "pattern of classes": {
    schema: { pattern: "^[^a-c\\d]\\S.\\u0041[\\w.-]$" },
    good: ['"xy A-"', '"äy😀A_"'],
    bad: ['"ay A-"', '"x  A-"', '"xy A!"'],
  },
  "format date": {
    schema: { type: "string", format: "date" },
    good: ['"2024-02-28"', '"1999-12-31"'],
    bad: ['"2024-13-01"', '"2024-02-30"', '"2024-04-31"'],
  },
  "format uuid": { schema: { format: "uuid" }, good: ['"123e4567-e89b-12d3-a456-426614174000"'], bad: ['"123e4567"'] },
  "a format it does not know, beside its pattern": {
    schema: { type: "string", format: "cuid2", pattern: "^[0-9a-z]+$" },
    good: ['"a1"'],
    bad: ['"A"', '""'],
  },
  "a format it knows, beside a pattern": {
    schema: { type: "string", format: "date", pattern: "^2" },
    good: ['"2024-02-28"'],
    bad: ['"1999-12-31"', '"2"'],
  },
  items: {
    schema: { type: "array", items: { type: "integer" } },
    good: ["[]", "[1]", "[1, 2,3]"],
    bad: ["[1,]", '["a"]', "[,1]", "[1 2]"],
  },
  "minItems, maxItems": {
    schema: { items: { type: "null" }, minItems: 1, maxItems: 2 },
    good: ["[null]", "[null,null]"],
    bad: ["[]", "[null,null,null]"],
  },
  prefixItems: {
    schema: { type: "array", prefixItems: [{ type: "integer" }, { type: "string" }], items: false, minItems: 1 },
    good: ["[1]", '[1,"a"]'],
    bad: ["[]", '["a"]', '[1,"a",2]'],
  },
  "items of draft 7": {
    schema: { items: [{ type: "integer" }], additionalItems: { type: "null" } },
    good: ["[]", "[1,null,null]"],
    bad: ["[null]", "[1,1]"],
  },
  properties: {
    schema: { type: "object", ...ab, required: ["a"], additionalProperties: false },
    good: ['{"a":1}', '{"a": 1, "b": "x"}', '{\n  "a": 1,\n  "b": "x"\n}'],
    bad: ["{}", '{"b":"x"}', '{"a":"x"}', '{"a":1,"c":2}', '{"a":1,}', '{"b":"x","a":1}'],
  },
  "properties, none required": {
    schema: ab,
    good: ["{}", '{"b":"x"}', '{"a":1}', '{"a":1,"b":""}'],
    bad: ['{,"b":"x"}', '{"c":1}', "[]"],
  },
  "required without properties": {
    schema: { type: "object", required: ["k"] },
    good: ['{"k":[]}', '{"k":1,"other":2}'],
    bad: ["{}", '{"other":2}'],
  },
  additionalProperties: {
    schema: { ...ab, additionalProperties: { type: "boolean" } },
    good: ['{"x":true}', '{"a":1,"x":true,"y":false}', '{"ab":true}'],
    bad: ['{"x":1}', '{"a":true}', '{"x":true,"a":true}', '{"x":true,"\\u0061":true}'],
  },
  "an object of anything": {
    schema: { type: "object" },
    good: ["{}", '{"a":{"b":[1]}}', '{"":0}'],
    bad: ["[]", '{"a"}', "{1:2}"],
  },
  patternProperties: {
    schema: {
      patternProperties: { "^n_": { type: "integer" }, "^s_": { type: "string" } },
      additionalProperties: false,
    },
    good: ["{}", '{"n_a":1,"s_b":"x"}'],
    bad: ['{"n_a":"x"}', '{"x":1}'],
  },
  propertyNames: {
    schema: { type: "object", propertyNames: { enum: ["x", "y"] } },
    good: ["{}", '{"x":1}', '{"y":1}'],
    bad: ['{"z":1}', '{"xy":1}'],
  },
  minProperties: { schema: { type: "object", minProperties: 1 }, good: ['{"a":1}'], bad: ["{}"] },
  maxProperties: { schema: { type: "object", maxProperties: 1 }, good: ["{}", '{"a":1}'], bad: ['{"a":1,"b":1}'] },
  anyOf: {
    schema: { anyOf: [{ type: "integer" }, { type: "string", maxLength: 1 }] },
    good: ["1", '"a"'],
    bad: ['"ab"', "null"],
  },
  "anyOf beside properties": {
    schema: {
      type: "object",
      properties: { a: { type: "null" }, b: { type: "null" } },
      anyOf: [{ required: ["a"] }, { required: ["b"] }],
    },
    good: ['{"a":null}', '{"b":null}', '{"a":null,"b":null}'],
    bad: ["{}"],
  },
  "oneOf with a const": {
    schema: {
      oneOf: [
        { type: "object", properties: { kind: { const: "x" }, v: { type: "integer" } }, required: ["kind", "v"] },
        { type: "object", properties: { kind: { const: "y" } }, required: ["kind"] },
      ],
    },
    good: ['{"kind":"x","v":1}', '{"kind":"y"}'],
    bad: ['{"kind":"x"}', '{"kind":"z"}'],
  },
  allOf: {
    schema: { allOf: [{ ...ab, required: ["a"] }, { properties: { a: { minimum: 5 } } }, { required: ["b"] }] },
    good: ['{"a":5,"b":""}'],
    bad: ['{"a":4,"b":""}', '{"a":5}'],
  },
  $ref: {
    schema: { $defs: { "a/b": { type: "integer" } }, items: { $ref: "#/$defs/a~1b", minimum: 3 } },
    good: ["[3]"],
    bad: ["[2]", '["x"]'],
  },
  "$ref to itself": {
    schema: { type: "object", properties: { next: { anyOf: [{ $ref: "#" }, { type: "null" }] } }, required: ["next"] },
    good: ['{"next":null}', '{"next":{"next":{"next":null}}}'],
    bad: ['{"next":{}}', '{"next":{"next":null}'],
  },
  annotations: {
    schema: { title: "t", description: "d", default: 1, examples: [1], "x-any": 1, type: "null" },
    good: ["null"],
    bad: ["1"],
  },
};

describe("schemaLanguage", () => {
  for (const [name, { schema, good, bad }] of Object.entries(CASES)) {
    it(`holds to ${name}`, () => {
      const accepts = acceptor(schema);
      for (const text of good) assert.ok(accepts(text), `refuses ${text}`);
      for (const text of bad) assert.ok(!accepts(text), `accepts ${text}`);
    });
  }

  const REFUSED: Readonly<Record<string, readonly [schema: unknown, pointer: string]>> = {
    "a keyword it cannot enforce": [{ type: "object", properties: { a: { uniqueItems: true } } }, "#/properties/a"],
    not: [{ not: { type: "string" } }, "#"],
    if: [{ if: true }, "#"],
    "a keyword nobody knows": [{ nullable: true }, "#"],
    "a type there is not": [{ items: { type: "int" } }, "#/items/type"],
    "a limit that is no number": [{ minimum: "1" }, "#/minimum"],
    "an enum of nothing": [{ enum: [] }, "#/enum"],
    "a format it does not know": [{ format: "idn-email" }, "#/format"],
    "a fractional multipleOf": [{ multipleOf: 0.01 }, "#/multipleOf"],
    "a broken pattern": [{ pattern: "(" }, "#/pattern"],
    "a pattern that looks ahead": [{ properties: { a: { pattern: "^(?=a)" } } }, "#/properties/a/pattern"],
    "a pattern with a back reference": [{ pattern: "(a)\\1" }, "#/pattern"],
    "a $ref to somewhere else": [{ $ref: "https://example.com/schema" }, "#"],
    "a $ref to nothing": [{ $ref: "#/$defs/gone" }, "#"],
    "a $ref in a circle": [{ $defs: { a: { $ref: "#/$defs/a" } }, items: { $ref: "#/$defs/a" } }, "#/$defs/a"],
    "a schema without an end": [{ properties: { a: { $ref: "#" } }, required: ["a"] }, "#/properties/a"],
    "a schema that nothing fits": [{ type: "string", enum: [1] }, "#"],
    "limits that exclude each other": [{ type: "integer", minimum: 5, maximum: 4 }, "#"],
    "oneOf with an overlap": [{ oneOf: [{ type: "integer" }, { type: "number" }] }, "#/oneOf"],
    "a property that is no schema": [{ properties: { a: 1 } }, "#/properties/a"],
    minProperties: [{ type: "object", minProperties: 3 }, "#/minProperties"],
  };
  for (const [name, [schema, pointer]] of Object.entries(REFUSED)) {
    it(`refuses ${name}, and says where`, () => {
      assert.throws(
        () => acceptor(schema),
        (error) => error instanceof SchemaError && error.pointer === pointer,
      );
    });
  }
});
