/**
 * What holding an output to a grammar costs: `node dist/test/bench/grammar.js DIRECTORY LOGITS`, the directory of a model with a
 * tokenizer.json and the width of its logits. Outputs are given, so that only the grammar's own work is timed.
 */
import { GrammarCompiler } from "../../src/runtime/grammar/grammar-compiler.js";
import { type VocabularyTables, vocabularyTables } from "../../src/runtime/grammar/vocabulary-worker.js";

interface Sample {
  readonly schema: object;
  readonly output: unknown;
}

const text = { type: "string" };
const SAMPLES: Readonly<Record<string, Sample>> = {
  person: {
    schema: {
      properties: { name: text, age: { type: "integer" }, tags: { type: "array", items: text } },
      required: ["name", "age", "tags"],
      additionalProperties: false,
    },
    output: { name: "Ada King, Countess of Lovelace", age: 36, tags: ["mathematics", "poetical science"] },
  },
  "lengths and patterns": {
    schema: {
      properties: {
        title: { type: "string", minLength: 2, maxLength: 80 },
        code: { type: "string", pattern: "^[A-Z]{3}-[0-9]{4}$" },
        on: { type: "string", format: "date" },
        share: { type: "number", minimum: 0, maximum: 1 },
      },
      required: ["title", "code", "on", "share"],
    },
    output: {
      title: "A report on the state of the harbour in winter",
      code: "HRB-2024",
      on: "2024-02-11",
      share: 0.375,
    },
  },
  "any object": {
    schema: { type: "object" },
    output: { rows: [{ id: 1, tags: ["a", "b"], note: "so it goes" }, null] },
  },
};

/** The longest token each time. */
function tokenize({ bytes, starts }: VocabularyTables, output: string): readonly number[] {
  const ids = new Map<string, number>();
  for (let id = 0; id < starts.length - 1; id++) {
    ids.set(Buffer.from(bytes.subarray(starts[id], starts[id + 1])).toString("latin1"), id);
  }
  const raw = Buffer.from(output, "utf8").toString("latin1");
  const tokens: number[] = [];
  for (let at = 0; at < raw.length; ) {
    let length = Math.min(24, raw.length - at);
    while (length > 1 && !ids.has(raw.slice(at, at + length))) length--;
    tokens.push(ids.get(raw.slice(at, at + length)) ?? 0);
    at += length;
  }
  return tokens;
}

const [directory = "models/tiny", width = "1024"] = process.argv.slice(2);
const timed = <T>(work: () => T): readonly [T, number] => {
  const start = performance.now();
  return [work(), performance.now() - start];
};
const [tables, reading] = timed(() => vocabularyTables(directory));
console.log(
  `vocabulary: ${tables.starts.length - 1} tokens, ${tables.trie.byte.length} trie nodes, ${reading.toFixed(0)} ms in its thread`,
);
const compiler = new GrammarCompiler(directory, Number(width), async () => tables);
const logits = new Float32Array(Number(width));

for (const [name, { schema, output }] of Object.entries(SAMPLES)) {
  const tokens = tokenize(tables, JSON.stringify(output, null, 1).replaceAll(/\n\s*/g, " "));
  for (const round of ["first", "second"]) {
    const start = performance.now();
    const constraint = await compiler.compile({ kind: "json_schema", schema: JSON.stringify(schema) }, []);
    const compiling = performance.now() - start;
    const costs = tokens.map((token) => {
      logits.fill(1);
      const [, mask] = timed(() => constraint.mask(logits));
      const [, accept] = timed(() => constraint.accept(token));
      return 1000 * (mask + accept);
    });
    const mean = costs.reduce((sum, cost) => sum + cost, 0) / costs.length;
    const sorted = [...costs].sort((a, b) => a - b);
    const at = (share: number): string => (sorted[Math.floor(share * (sorted.length - 1))] ?? 0).toFixed(0);
    console.log(
      `${name}, ${round} time: compiled in ${compiling.toFixed(2)} ms; ${tokens.length} tokens, µs each: ` +
        `mean ${mean.toFixed(0)}, median ${at(0.5)}, 90th ${at(0.9)}, most ${at(1)}`,
    );
  }
}
