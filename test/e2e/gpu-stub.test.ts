/** A machine that has a driver, as far as `libnvidia-ml.so.1` and `libcuda.so.1` made here can be one. */
import assert from "node:assert/strict";
import { dirname } from "node:path";
import { compiler } from "../support/compile-library.js";
import { compileCudaStub } from "../support/cuda-stub.js";
import { compileNvmlStub, stubUuid } from "../support/nvml-stub.js";
import { requirePart } from "../support/requirements.js";
import { runVitrine, VitrineProcess } from "../support/vitrine-process.js";

describe("a machine with GPUs of two models", function () {
  this.timeout(60_000);
  let env: { readonly LD_LIBRARY_PATH: string };

  before(function () {
    requirePart(this, compiler());
    env = { LD_LIBRARY_PATH: `${dirname(compileNvmlStub())}:${dirname(compileCudaStub())}` };
  });

  it("has metrics of the one that CUDA counts first, and a line of how it is read", async () => {
    const vitrine = await VitrineProcess.start({ env });
    try {
      await vitrine.until("the GPU is read", () =>
        vitrine.output.some((line) => line.includes("GPU 0 is read through NVML")),
      );
      let page = "";
      await vitrine.until("it is in /metrics", async () => {
        page = await (await fetch(`${vitrine.url}/metrics`)).text();
        return page.includes("hw_power_watts{");
      });
      // NVML counts it last.
      assert.match(
        page,
        new RegExp(`hw_power_watts\\{hw_id="${stubUuid(3)}",.*hw_model="NVIDIA A30",device="cuda:0"\\} 312\\.345`),
      );
      assert.match(page, /^hw_gpu_mig_enabled\{.*\} 1$/m);
      assert.match(page, /^hw_energy_joules_total\{.*\} \d/m);
      assert.ok(!/^hw_gpu_utilization_ratio\{/m.test(page), "with MIG on there is none of the whole GPU");
    } finally {
      await vitrine.stop();
    }
  });

  it("is what the doctor finds, a lost GPU and a missing provider included", async () => {
    const { code, stdout } = await runVitrine(["doctor", "--port", "0"], env);
    assert.equal(code, 0, stdout);
    assert.match(stdout, /✓ driver 580\.65\.06, for CUDA 13\.0 and older/);
    assert.match(stdout, /✓ GPU 0: NVIDIA H200, .* of 140 GiB free/);
    assert.match(stdout, /! GPU 2 does not answer: .*GPU is lost/);
    assert.match(stdout, /Ready to serve \(\d+ warnings?\)/);
    const asked = await runVitrine(["doctor", "--port", "0", "--device", "cuda:4"], env);
    assert.equal(asked.code, 1);
    assert.match(asked.stdout, /✗ there is no cuda:4/);
  });
});
