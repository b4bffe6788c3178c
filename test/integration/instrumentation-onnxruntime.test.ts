/** The shipped model run by onnxruntime-node alone, as an ES module and in CommonJS, in programs with a tracing SDK of their own. */
import assert from "node:assert/strict";
import { symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runInstrumented, spanTrees } from "../support/instrumented-program.js";
import { temporaryFolders } from "../support/model-fixture.js";
import { PACKAGE_ROOT } from "../support/vitrine-process.js";

const EXERCISE = new URL("../support/onnxruntime-exercise.js", import.meta.url).href;
const CALL = `exercise(runtime, ${JSON.stringify(join(PACKAGE_ROOT, "models/tiny/onnx/model.onnx"))}, [0, 395, 383], 9)`;

const PROGRAMS = {
  imported: `import * as runtime from "onnxruntime-node";\nimport { exercise } from "${EXERCISE}";\nawait ${CALL};\n`,
  required: `import { createRequire } from "node:module";
const runtime = createRequire("${PACKAGE_ROOT}")("onnxruntime-node");
const { exercise } = await import("${EXERCISE}");
await ${CALL};\n`,
};

describe("onnxruntime-node, instrumented", function () {
  this.timeout(30_000);
  const folder = temporaryFolders();

  for (const [how, text] of Object.entries(PROGRAMS)) {
    it(`answers as it does without and makes spans of what it did, ${how}`, async () => {
      const place = folder();
      symlinkSync(join(PACKAGE_ROOT, "node_modules"), join(place, "node_modules"));
      const program = join(place, "program.mjs");
      writeFileSync(program, text);
      const plain = await runInstrumented(place, [program], false);
      const traced = await runInstrumented(place, [program], true);
      assert.match(plain.stdout, /^0 395 383( \d+){9}\n.*input.*missing/);
      assert.equal(traced.stdout, plain.stdout);
      assert.deepEqual(spanTrees(traced.spans), [
        "inference.forward !Error",
        "inference.forward decode",
        "inference.forward prefill",
        "model.load",
      ]);
      const decode = traced.spans.find(({ attributes }) => attributes["ai.phase"] === "decode");
      assert.equal(decode?.attributes["ai.steps"], 8);
      assert.equal(decode?.attributes["ai.model.name"], "tiny");
    });
  }
});
