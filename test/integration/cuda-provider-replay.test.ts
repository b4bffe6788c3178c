/** What ONNX Runtime's own CUDA provider does where decode steps are captured and replayed, over libraries that compute nothing. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { findOrtLibrary } from "../../native/ort.js";
import { compiler } from "../support/compile-library.js";
import type { CudaReplayReport } from "../support/cuda-replay-child.js";
import { makeCudaLibraries } from "../support/cuda-runtime-stub.js";
import { DECODER_CONFIG, temporaryFolders, writeFiles } from "../support/model-fixture.js";
import { buildDecoder } from "../support/onnx-builder.js";
import { requirePart } from "../support/requirements.js";

const CHILD = fileURLToPath(new URL("../support/cuda-replay-child.js", import.meta.url));
/** Where `npm run gpu:pack` keeps what it fetched. */
const FETCHED = join(tmpdir(), "vitrine-bench", "cuda-libraries", "onnxruntime", "capi");
const PROVIDERS = ["libonnxruntime_providers_cuda.so", "libonnxruntime_providers_shared.so"] as const;

const folder = temporaryFolders();

describe("ONNX Runtime's CUDA provider, replaying", function () {
  this.timeout(60_000);
  let run: (failing?: string) => CudaReplayReport;
  let report: CudaReplayReport;

  before(function () {
    requirePart(this, {
      name: "ONNX Runtime's CUDA provider",
      available: PROVIDERS.every((name) => existsSync(join(FETCHED, name))),
      why: "npm run gpu:pack fetches it, 1.3 GB with its libraries",
      mandatoryInCi: false,
    });
    requirePart(this, compiler());
    const [beside, libraries] = [folder(), folder()];
    const library = join(beside, "libonnxruntime.so.1");
    symlinkSync(findOrtLibrary(), library);
    for (const name of PROVIDERS) symlinkSync(join(FETCHED, name), join(beside, name));
    makeCudaLibraries(join(FETCHED, PROVIDERS[0]), libraries);
    const graph = buildDecoder({ type: "float16", logitsToKeep: "num_logits_to_keep" }).graph;
    const counting = writeFiles(folder(), { "config.json": DECODER_CONFIG, "onnx/model_fp16.onnx": graph });
    run = (failing = "") => {
      const stub = { LD_LIBRARY_PATH: libraries, CUDA_STUB_FAILS: failing };
      const env = { ...process.env, ...stub, ORT_DISABLE_TELEMETRY: "1" };
      const child = spawnSync(process.execPath, [CHILD, library, libraries, counting], { encoding: "utf8", env });
      assert.equal(child.status, 0, child.stderr);
      return JSON.parse(child.stdout) as CudaReplayReport;
    };
    report = run();
  });

  const step = (name: string) => {
    const counts = report.steps[name];
    assert.ok(counts, name);
    return counts;
  };

  it("launches every kernel of a prompt and of a plain step, and sends it ids and lengths", () => {
    for (const name of ["prompt", "plain", "prompt between", "after the cache has grown"]) {
      const { launches, captures, replays, sent } = step(name);
      assert.ok(launches > 20, name);
      assert.deepEqual({ captures, replays, sent }, { captures: 0, replays: 0, sent: 2 }, name);
    }
  });

  it("captures in the call that is the first with an id, after two ordinary runs", () => {
    const { launches } = step("plain");
    const captured = step("captured");
    assert.deepEqual([captured.captures, captured.replays], [1, 1]);
    // Two runs, the capture, and the proof.
    assert.equal(captured.launches, 4 * launches);
    const proved = step("proved");
    assert.deepEqual([proved.captures, proved.replays, proved.launches], [0, 1, launches]);
  });

  it("replays with one launch, whatever ran in between", () => {
    for (const name of ["replayed", "replayed after it", "replayed with a spare row"]) {
      assert.deepEqual(step(name), { launches: 0, captures: 0, replays: 1, allocations: 0, sent: 2 }, name);
    }
  });

  it("takes half-precision models, and counts of last logits that were rewritten, and refuses others with a known reason", () => {
    const { replay } = report;
    for (const name of ["fp16", "q4f16", "counting"])
      assert.equal(replay[name]?.on, true, `${name}: ${replay[name]?.reason}`);
    for (const name of ["fp32", "counting with its Neg"]) {
      assert.equal(replay[name]?.on, false, name);
      assert.match(replay[name]?.reason ?? "", /operators run on the CPU/, name);
    }
  });

  for (const failing of ["cudaGraphInstantiate", "cudaGraphLaunch"]) {
    it(`goes on plainly where ${failing} fails, and says why without the place in its source`, () => {
      const { steps, replay } = run(failing);
      const { launches } = step("plain");
      assert.deepEqual(
        ["replayed", "replayed after it"].map((name) => [steps[name]?.launches, steps[name]?.replays]),
        [
          [launches, 0],
          [launches, 0],
        ],
      );
      assert.deepEqual(new Map(Object.entries(replay)).get("fp16"), {
        on: false,
        reason: "A replayed step failed: CUDA failure 999: an error of the stub",
      });
    });
  }
});
