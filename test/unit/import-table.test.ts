import assert from "node:assert/strict";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative } from "node:path";

/** Who may import whom, as ARCHITECTURE.md has it. A folder may always import itself; `packages` false bans npm packages. */
const TABLE: Record<string, { readonly may: readonly string[]; readonly packages: boolean }> = {
  "src/cli": { may: ["src", "native", "models"], packages: true },
  "src/config.ts": { may: ["src/options.ts", "src/otel-variables.ts", "src/errors.ts"], packages: true },
  "src/otel-variables.ts": { may: [], packages: false },
  "src/destinations.ts": { may: ["src/config.ts", "src/tracing", "src/errors.ts"], packages: false },
  "src/options.ts": { may: [], packages: true },
  "src/errors.ts": { may: [], packages: false },
  "src/protocol.ts": { may: ["src/protocol", "src/errors.ts"], packages: false },
  "src/protocol": { may: ["src/errors.ts"], packages: false },
  "src/server": {
    may: [
      "src/engine/client/client.ts",
      "src/runtime/text/tokenizer.ts",
      "src/runtime/text/stream-decoder.ts",
      "src/runtime/text/chat-message.ts",
      "src/runtime/text/chat-template.ts",
      "src/runtime/grammar/check-grammar.ts",
      "src/tracing",
      "src/protocol.ts",
      "src/errors.ts",
    ],
    packages: true,
  },
  "src/engine": { may: ["src/protocol.ts", "src/errors.ts"], packages: false },
  "src/runtime": {
    may: [
      "src/engine/runner.ts",
      "src/engine/sampling/constraint.ts",
      "src/gpu",
      "native",
      "src/protocol.ts",
      "src/errors.ts",
    ],
    packages: true,
  },
  "src/tracing": { may: ["src/gpu", "src/protocol.ts", "src/errors.ts"], packages: true },
  "src/doctor": {
    may: ["src/gpu", "src/runtime", "src/tracing", "native", "src/config.ts", "src/protocol.ts", "src/errors.ts"],
    packages: true,
  },
  "src/gpu": { may: ["native", "src/errors.ts"], packages: true },
  "src/instrumentation": {
    may: [
      "src/tracing",
      "src/config.ts",
      "src/destinations.ts",
      "src/options.ts",
      "src/otel-variables.ts",
      "src/errors.ts",
    ],
    packages: true,
  },
  "src/bench": {
    may: ["models/tiny", "src/tracing", "src/runtime/text", "src/protocol.ts", "src/errors.ts"],
    packages: true,
  },
  native: { may: [], packages: true },
  models: { may: [], packages: false },
};

const IMPORT =
  /(?:^|\n)\s*(?:import|export)\b[^;]*?\bfrom\s*"([^"]+)"|\bimport\(\s*"([^"]+)"\s*\)|(?:^|\n)import\s+"([^"]+)"/g;

function sources(path: string): string[] {
  if (statSync(path).isFile()) return path.endsWith(".ts") ? [path] : [];
  return readdirSync(path).flatMap((name) => sources(join(path, name)));
}

function importsOf(text: string): string[] {
  return [...text.matchAll(IMPORT)].map((match) => match[1] ?? match[2] ?? match[3] ?? "");
}

const within = (file: string, place: string): boolean => file === place || file.startsWith(`${place}/`);

/** One line for each import in `text` of `file` that the table forbids. */
function violations(file: string, text: string): string[] {
  const place = Object.keys(TABLE).find((candidate) => within(file, candidate));
  const rule = place === undefined ? undefined : TABLE[place];
  if (place === undefined || rule === undefined) return [`${file}: no row of the import table covers this file`];
  return importsOf(text).flatMap((specifier) => {
    if (specifier.startsWith("node:")) return [];
    if (!specifier.startsWith("."))
      return rule.packages ? [] : [`${file}: may import no packages, imports ${specifier}`];
    const target = join(dirname(file), specifier).replace(/\.js$/, ".ts");
    const allowed = [place, ...rule.may].some((granted) => within(target, granted));
    return allowed ? [] : [`${file}: may not import ${target}`];
  });
}

describe("import table", () => {
  it("holds for every source file", () => {
    const files = ["src", "native", "models"].flatMap(sources);
    assert.ok(files.length > 10, "run from the repository's root");
    const found = files.flatMap((file) => violations(relative(".", file), readFileSync(file, "utf8")));
    assert.deepEqual(found, []);
  });

  it("sees static, type, side-effect, re-exporting and dynamic imports", () => {
    const text = [
      'import { a } from "../tracing/a.js";',
      'import type { b } from "../server/b.js";',
      'export * from "./fine.js";',
      'import "../cli/c.js";',
      'const d = await import("../gpu/d.js");',
      'import {\n  e,\n} from "fastify";',
      'import { f } from "node:fs";',
    ].join("\n");
    assert.deepEqual(violations("src/engine/x.ts", text), [
      "src/engine/x.ts: may not import src/tracing/a.ts",
      "src/engine/x.ts: may not import src/server/b.ts",
      "src/engine/x.ts: may not import src/cli/c.ts",
      "src/engine/x.ts: may not import src/gpu/d.ts",
      "src/engine/x.ts: may import no packages, imports fastify",
    ]);
  });

  it("refuses a file that no row covers", () => {
    assert.equal(violations("src/elsewhere/x.ts", "").length, 1);
  });
});
