/** What ONNX Runtime's own CUDA provider makes of our options. It reads them without a device, and without a driver worth the name. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { findOrtLibrary } from "../../native/ort.js";
import { compileLibrary, compiler } from "../support/compile-library.js";
import { temporaryFolders } from "../support/model-fixture.js";
import { requirePart } from "../support/requirements.js";

const CHILD = fileURLToPath(new URL("../support/cuda-options-child.js", import.meta.url));
/** Where `npm run gpu:pack` keeps what it fetched. */
const FETCHED = join(tmpdir(), "vitrine-bench", "cuda-libraries");
const PROVIDERS = ["libonnxruntime_providers_cuda.so", "libonnxruntime_providers_shared.so"];
/** All that the provider is linked to of the driver. */
const DRIVER = "int cuTensorMapEncodeTiled(void) { return 100; }";

const folder = temporaryFolders();

describe("ONNX Runtime's CUDA provider", function () {
  this.timeout(60_000);

  before(function () {
    const source = join(FETCHED, "onnxruntime", "capi");
    requirePart(this, {
      name: "ONNX Runtime's CUDA provider",
      available: PROVIDERS.every((name) => existsSync(join(source, name))),
      why: "npm run gpu:pack fetches it, 1.3 GB with its libraries",
      mandatoryInCi: false,
    });
    requirePart(this, compiler());
  });

  it("takes over the stream it is given, and is found out where it does not", () => {
    const beside = folder();
    const library = join(beside, "libonnxruntime.so.1");
    symlinkSync(findOrtLibrary(), library);
    for (const name of PROVIDERS) symlinkSync(join(FETCHED, "onnxruntime", "capi", name), join(beside, name));
    const driver = dirname(compileLibrary("libcuda.so.1", DRIVER));
    const stream = { user_compute_stream: "94123456789" };
    const sets = [{ has_user_compute_stream: "1", use_tf32: "0", ...stream }, stream];
    const env = { ...process.env, LD_LIBRARY_PATH: `${driver}:${join(FETCHED, "nvidia", "cu13", "lib")}` };
    // How it ends is not asked: the provider's destructors have no driver to talk to.
    const { stdout } = spawnSync(process.execPath, [CHILD, library, JSON.stringify(sets)], { encoding: "utf8", env });
    assert.deepEqual(JSON.parse(stdout), [
      "taken",
      // By itself the address is dropped, and CUDA's default stream computed in.
      "ONNX Runtime's CUDA provider did not take its options: user_compute_stream is 0, not 94123456789.",
    ]);
  });
});
