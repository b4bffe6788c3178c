import assert from "node:assert/strict";
import { cpSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkModel, type ModelQuestion } from "../../../src/doctor/model.js";
import { cures, lines } from "./findings.js";

const GIB = 2 ** 30;
const TINY: ModelQuestion = {
  model: "models/tiny",
  dtype: "q4",
  provider: "cpu",
  memory: { total: 8 * GIB, free: 4 * GIB },
  kvMemory: { bytes: 2 * GIB },
};

describe("doctor: model", () => {
  it("tells what a directory holds, and that it fits", async () => {
    const found = lines(await checkModel(TINY));
    assert.equal(found.length, 3, found.join("\n"));
    assert.match(found[0] ?? "", /^ok tiny in \/.*models\/tiny: llama, q4, \d/);
    assert.match(found[1] ?? "", /^ok its tokenizer loads: \d+ tokens/);
    assert.match(found[2] ?? "", /^ok its weights take .* of 4\.0 GiB of memory free/);
  });

  it("names what is wrong with a directory", async () => {
    const folder = mkdtempSync(join(tmpdir(), "vitrine-doctor-"));
    try {
      assert.match(lines(await checkModel({ ...TINY, model: "nowhere" }))[0] ?? "", /^problem There is no directory/);
      assert.match(lines(await checkModel({ ...TINY, model: folder }))[0] ?? "", /^problem .* has no config\.json/);
      cpSync("models/tiny/config.json", join(folder, "config.json"));
      assert.match(lines(await checkModel({ ...TINY, model: folder }))[0] ?? "", /^problem .*has no model_q4\.onnx/);
      mkdirSync(join(folder, "onnx"));
      cpSync("models/tiny/onnx/model_q4.onnx", join(folder, "onnx", "model_q4.onnx"));
      const found = await checkModel({ ...TINY, model: folder });
      assert.match(lines(found)[1] ?? "", /^problem .*tokenizer\.json does not exist/);
      assert.ok(cures(found).every((cure) => cure !== ""));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("says that bfloat16 does not run on the CPU, and that a GPU's cache of it is half as wide", async () => {
    const bfloat16 = { ...TINY, model: "test/fixtures/parity/llama/genai", dtype: "bf16" } as const;
    const [refused, ...others] = lines(await checkModel(bfloat16));
    assert.match(refused ?? "", /^problem .*model_bf16\.onnx computes in bfloat16: it needs CUDA.*--dtype fp16/);
    assert.deepEqual(others, []);
    const sizes = { kvMemory: { bytes: 1 }, provider: "cuda" } as const;
    const half = lines(await checkModel({ ...bfloat16, ...sizes })).at(-1);
    assert.equal(half, lines(await checkModel({ ...bfloat16, ...sizes, dtype: "fp16" })).at(-1));
    assert.match(half ?? "", /^warning one sequence of the whole context/);
  });

  it("finds weights that do not fit the device", async () => {
    const small = await checkModel({ ...TINY, provider: "cuda", memory: { total: 1000, free: 1000 } });
    assert.match(lines(small)[2] ?? "", /^problem its weights take .*, and there are .* of GPU memory/);
    const busy = await checkModel({ ...TINY, memory: { total: 8 * GIB, free: 1000 } });
    assert.match(lines(busy)[2] ?? "", /^warning its weights take .* are free/);
  });

  it("warns where the KV cache holds less than one sequence of the whole context", async () => {
    const found = await checkModel({ ...TINY, kvMemory: { bytes: 2 ** 20 } });
    assert.match(lines(found)[3] ?? "", /^warning one sequence of the whole context \(\d+ tokens\) needs/);
    assert.match(cures(found)[0] ?? "", /--kv-memory/);
  });

  it("finds a GPU that has no room for one sequence beside the model", async () => {
    const gpu = { ...TINY, provider: "cuda", kvMemory: { gpuShare: 0.9 } } as const;
    assert.equal((await checkModel({ ...gpu, memory: { total: 8 * GIB, free: 8 * GIB } })).length, 3);
    const full = await checkModel({ ...gpu, memory: { total: 8 * GIB, free: 0.8 * GIB } });
    assert.match(lines(full)[3] ?? "", /^problem one sequence of the whole context .* it may have 0\.0 KiB/);
    assert.match(cures(full)[0] ?? "", /--gpu-memory-utilization/);
  });

  it("says nothing of memory that nobody tells", async () => {
    assert.equal((await checkModel({ ...TINY, memory: undefined })).length, 2);
  });
});
