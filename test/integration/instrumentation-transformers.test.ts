/** Each version of transformers.js with a real model, as an ES module and in CommonJS, in programs that have a tracing SDK of their own. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { type ProgramRun, type RecordedSpan, runInstrumented, spanTrees } from "../support/instrumented-program.js";
import { temporaryFolders } from "../support/model-fixture.js";
import { PROMPT } from "../support/transformers-exercise.js";
import { installed, PACKAGES, type TransformersPackage } from "../support/transformers-packages.js";

const EXERCISE = new URL("../support/transformers-exercise.js", import.meta.url).href;

const SYSTEMS = {
  mjs: (library: string, call: string) =>
    `import * as library from "${library}";\nimport { exercise } from "${EXERCISE}";\nawait ${call};\n`,
  cjs: (library: string, call: string) =>
    `const library = require("${library}");\nimport("${EXERCISE}").then(({ exercise }) => ${call});\n`,
};
type System = keyof typeof SYSTEMS;

const GENERATE = ["model.generate", "  inference.forward decode", "  inference.forward prefill"].join("\n");

/** What the exercise makes, as trees. `sessions` is whether the creation of sessions is seen. */
function expected({ version }: TransformersPackage, sessions: boolean): string[] {
  const session = sessions ? ["  session.create"] : [];
  const failed = version.startsWith("2.") ? "Error" : "TypeError";
  const pipeline = ["pipeline", "  detokenize", ...GENERATE.split("\n").map((line) => `  ${line}`), "  tokenize"];
  return [
    ...[["model.load", ...session, "  tokenizer.load"], pipeline, ["model.load", ...session]].map((tree) =>
      tree.join("\n"),
    ),
    ...["tokenizer.load", "tokenize", "tokenize", "tokenize !Error", "inference.forward prefill"],
    ...[GENERATE, GENERATE, GENERATE, `model.generate !${failed}`, `model.generate !${failed}`],
  ].sort();
}

for (const used of PACKAGES) {
  describe(`${used.name} ${used.version}, instrumented`, function () {
    this.timeout(60_000);
    const folder = temporaryFolders();
    let home: string;
    let models: string;

    const write = (system: System, library: string): string => {
      const path = join(home, `exercise-${library.replaceAll(/\W+/g, "-")}.${system}`);
      const given = [models, used.version, used.options].map((one) => JSON.stringify(one)).join(", ");
      writeFileSync(path, SYSTEMS[system](library, `exercise(library, ${given})`));
      return path;
    };

    before(function () {
      // The first time, it is a download.
      this.timeout(300_000);
      home = installed(this, used);
      models = folder();
      used.model(models);
    });

    for (const [system, title] of [
      ["mjs", "imported"],
      ["cjs", "required"],
    ] as const) {
      describe(title, () => {
        let plain: ProgramRun;
        let traced: ProgramRun;

        before(async () => {
          const path = write(system, used.name);
          plain = await runInstrumented(models, [path], false);
          traced = await runInstrumented(models, [path], true);
        });

        it("answers and fails as it does without", () => {
          assert.match(plain.stdout, new RegExp(`^pipeline: .*${PROMPT}.*\nkinds: `));
          assert.equal(traced.stdout, plain.stdout);
          assert.equal(traced.stderr, plain.stderr);
        });

        it("makes the spans of everything the program did", () => {
          // An ES module that is required imports its own parts out of every hook's sight.
          const sessions = !(used.version.startsWith("2.") && system === "cjs");
          assert.deepEqual(spanTrees(traced.spans), expected(used, sessions));
        });

        it("says how much was asked for and answered", () => {
          const generate = traced.spans.filter(({ name, parentId }) => name === "model.generate" && parentId);
          const [{ attributes = {} } = {}] = generate;
          const [prompt] = JSON.parse(/^encoded: (.*)$/m.exec(plain.stdout)?.[1] ?? "") as [[number[]]];
          assert.equal(attributes["ai.prompt.length"], prompt[0].length);
          assert.equal(attributes["ai.response.length"], 8);
          assert.equal(attributes["ai.task.type"], "text-generation");
          assert.equal(attributes["ai.model.name"], "model");
          assert.equal(attributes["ai.model.dtype"], used.options.dtype);
          assert.deepEqual(attributes["gen_ai.response.finish_reasons"], ["length"]);
        });

        it("keeps every span inside its parent, and nothing of the content in any", () => {
          const all = new Map(traced.spans.map((span) => [span.id, span]));
          for (const span of traced.spans) assert.ok(isInside(span, all.get(span.parentId ?? "")), span.name);
          const [, answer = ""] = /generated_text":"(.*)"/.exec(plain.stdout) ?? [];
          const recorded = JSON.stringify(traced.spans);
          for (const content of [PROMPT, answer, "may not be null"]) assert.ok(!recorded.includes(content), content);
        });
      });
    }

    for (const [system, file] of used.files) {
      it(`sees the bundle ${file} that a program loads by its path`, async () => {
        const path = join(home, "node_modules", used.name, file);
        const program = write(system, system === "mjs" ? pathToFileURL(path).href : path);
        const { spans } = await runInstrumented(models, [program], true);
        assert.deepEqual(spanTrees(spans), expected(used, true));
      });
    }
  });
}

function isInside(span: RecordedSpan, parent: RecordedSpan | undefined): boolean {
  return parent === undefined || (span.start >= parent.start && span.end <= parent.end);
}
