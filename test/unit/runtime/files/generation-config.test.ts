import assert from "node:assert/strict";
import { readSamplingDefaults } from "../../../../src/runtime/files/generation-config.js";
import { temporaryFolders, writeFiles } from "../../../support/model-fixture.js";

describe("readSamplingDefaults", () => {
  const folder = temporaryFolders();
  const read = (content: string | object) =>
    readSamplingDefaults(writeFiles(folder(), { "generation_config.json": content }));

  it("reads what the authors recommend, and nothing else", () => {
    // As Qwen2.5 has it.
    const file = {
      bos_token_id: 151643,
      do_sample: true,
      eos_token_id: [151645, 151643],
      repetition_penalty: 1.1,
      temperature: 0.7,
      top_p: 0.8,
      top_k: 20,
      transformers_version: "4.37.0",
    };
    assert.deepEqual(read(file), { temperature: 0.7, top_p: 0.8, top_k: 20, repetition_penalty: 1.1 });
  });

  it("keeps a 0, leaves out a null", () => {
    assert.deepEqual(read({ temperature: 0, top_k: null, min_p: 0 }), { temperature: 0, min_p: 0 });
  });

  it("is empty without the file", () => {
    assert.deepEqual(readSamplingDefaults(folder()), {});
  });

  it("refuses a value that no request may have, and names it", () => {
    for (const [field, value] of [
      ["temperature", -1],
      ["temperature", "hot"],
      ["top_p", 2],
      ["top_k", 1.5],
      ["repetition_penalty", 0],
    ] as const) {
      assert.throws(() => read({ [field]: value }), {
        code: "model_invalid",
        message: new RegExp(`generation_config\\.json: ${field} must be .*, but it is `),
      });
    }
  });
});
