import assert from "node:assert/strict";
import { VitrineError } from "../../../../src/errors.js";
import { readable, readOptionalText } from "../../../../src/runtime/files/json-file.js";
import { temporaryFolders } from "../../../support/model-fixture.js";

describe("readable", () => {
  const folder = temporaryFolders();
  const failing = (error: Error) => () =>
    readable("/m/model.onnx", () => {
      throw error;
    });

  it("says how to mend a file that this user may not read", () => {
    const denied = Object.assign(new Error("EACCES: permission denied, open"), { code: "EACCES" });
    assert.throws(failing(denied), {
      code: "model_invalid",
      message: /^\/m\/model\.onnx cannot be read: this user may not; .*chmod \+r/,
    });
  });

  it("names the file of any other failure, and leaves our own errors alone", () => {
    assert.throws(failing(new Error("EIO: i/o error")), { message: "/m/model.onnx cannot be read: EIO: i/o error" });
    const own = new VitrineError("model_unsupported", "of ours");
    assert.throws(failing(own), own);
    assert.throws(() => readOptionalText(folder()), {
      code: "model_invalid",
      message: /cannot be read: it is a folder$/,
    });
  });
});
