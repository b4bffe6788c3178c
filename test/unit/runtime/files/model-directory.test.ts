import assert from "node:assert/strict";
import { join } from "node:path";
import { openModelDirectory, resolveModelDirectory } from "../../../../src/runtime/files/model-directory.js";
import { DECODER_CONFIG, temporaryFolders, writeFiles } from "../../../support/model-fixture.js";

describe("model directory", () => {
  const folder = temporaryFolders();

  it("is named after its folder", () => {
    const root = writeFiles(folder(), { "little/config.json": DECODER_CONFIG });
    const directory = openModelDirectory(`${join(root, "little")}/`);
    assert.equal(directory.name, "little");
    assert.equal(directory.path, join(root, "little"));
    assert.equal(directory.config.vocabSize, 32);
  });

  it("refuses a path that is not there, or a file", () => {
    const root = writeFiles(folder(), { "model.onnx": "x" });
    assert.throws(() => openModelDirectory(join(root, "nowhere")), {
      code: "model_missing",
      message: /does not exist/,
    });
    assert.throws(() => openModelDirectory(root), {
      code: "model_missing",
      message: /has no config\.json: give the directory/,
    });
    assert.throws(() => openModelDirectory(join(root, "model.onnx")), { code: "model_invalid", message: /is a file/ });
  });

  it("takes a path before a name", () => {
    const root = writeFiles(folder(), { "models/tiny/config.json": {}, "own/readme": "" });
    const models = join(root, "models");
    assert.equal(resolveModelDirectory(join(root, "own"), models), join(root, "own"));
    assert.equal(resolveModelDirectory("tiny", models), join(models, "tiny"));
  });

  it("lists the shipped models when there is no such one", () => {
    const root = writeFiles(folder(), { "a/config.json": {}, "b/config.json": {}, "notes/readme": "" });
    for (const name of ["c", "notes", "", "../a"]) {
      assert.throws(() => resolveModelDirectory(name, root), {
        code: "model_missing",
        message: /no shipped model of that name \(there are: a, b\)\./,
      });
    }
  });

  it("says so when no model is shipped", () => {
    assert.throws(() => resolveModelDirectory("tiny", join(folder(), "none")), { message: /there are: none\)\./ });
  });
});
