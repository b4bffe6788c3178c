/** What ONNX Runtime's tensors and sessions make of a device's memory and stream, as far as can be told without a GPU. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { CudaStream, OrtBinding, OrtEnvironment, OrtMemory, OrtSession, OrtTensor } from "../../../native/ort.js";
import { cudaStreamOptions } from "../../../native/ort-cuda-options.js";
import { identityModel } from "../../../native/ort-models.js";
import { compiler } from "../../support/compile-library.js";
import { type CudaStub, openCudaStub } from "../../support/cuda-stub.js";
import { requirePart } from "../../support/requirements.js";

describe("ONNX Runtime on a device", () => {
  const environment = OrtEnvironment.open();
  let stub: CudaStub;
  let stream: CudaStream;
  let memory: OrtMemory;

  before(function () {
    requirePart(this, compiler());
    stub = openCudaStub();
  });
  beforeEach(() => {
    stub.limit(1 << 20);
    stream = CudaStream.open(2, stub.path);
    memory = OrtMemory.cuda(environment, stream);
  });
  afterEach(() => {
    for (const object of [memory, stream]) object?.dispose();
    if (stub === undefined) return;
    assert.deepEqual([stub.count("faults"), stub.fault()], [0, ""]);
    assert.deepEqual([stub.count("blocks"), stub.count("streams"), stub.count("contexts")], [0, 0, 0]);
  });

  it("has tensors in the device's memory, which is back when the last that uses it is disposed", () => {
    const tensor = OrtTensor.allocate(memory, "float16", [4, 6]);
    assert.equal(stub.count("allocated"), 48);
    const view = tensor.view(6, [2, 6]);
    tensor.dispose();
    assert.equal(stub.count("allocated"), 48);
    stream.copyFromHost(
      Uint16Array.from({ length: 12 }, (_, index) => index + 1000),
      view,
      0,
    );
    assert.deepEqual([...view.read(3, 2)], [1003, 1004]);
    assert.throws(() => view.data, { code: "misuse", message: /cuda memory cannot be read/ });
    assert.throws(() => view.read(11, 2), { code: "misuse" });
    view.dispose();
    assert.equal(stub.count("allocated"), 0);
  });

  it("reads what was queued before, and waits for it", () => {
    const [a, b] = [OrtTensor.allocate(memory, "float32", [8]), OrtTensor.allocate(memory, "float32", [8])];
    stream.copyFromHost(Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8), a, 0);
    stream.copyBlocks({ memory: a, offset: 0, pitch: 16 }, { memory: b, offset: 4, pitch: 8 }, 8, 2);
    assert.deepEqual([...b.read(1, 4)], [1, 2, 5, 6]);
    for (const object of [a, b]) object.dispose();
  });

  it("reads tensors of the CPU in the same way, and copies none of them", () => {
    const host = OrtMemory.cpu(environment);
    const tensor = OrtTensor.allocate(host, "float32", [4]);
    tensor.data.set([1, 2, 3, 4]);
    const read = tensor.read(1, 2);
    tensor.data.fill(0);
    assert.deepEqual([...read], [2, 3]);
    assert.throws(() => stream.copyToHost(tensor, 0, new Float32Array(1)), { code: "misuse", message: /not in a dev/ });
    for (const object of [tensor, host]) object.dispose();
  });

  it("says what was asked for and what there is where memory runs out", () => {
    const tensor = OrtTensor.allocate(memory, "float32", [200_000]);
    assert.throws(() => OrtTensor.allocate(memory, "float32", [100_000]), {
      code: "out_of_memory",
      message: /allocate 400000 bytes on device 2: .*; 248576 of 1048576 bytes are free/,
    });
    tensor.dispose();
    OrtTensor.allocate(memory, "float32", [200_000]).dispose();
  });

  it("keeps a bound tensor's memory as long as the binding", async () => {
    const session = await OrtSession.create(environment, identityModel("float16"), { threads: 1 });
    const binding = OrtBinding.create(session);
    const tensor = OrtTensor.allocate(memory, "float16", [5]);
    binding.bindOutput("y", tensor);
    for (const object of [tensor, memory, stream, session]) object.dispose();
    assert.deepEqual([stub.count("blocks"), stub.count("streams")], [1, 1]);
    binding.dispose();
  });

  it("computes in the stream: the provider is told its address as a decimal, and that there is one", () => {
    const options = cudaStreamOptions(stream);
    assert.deepEqual(Object.keys(options), ["device_id", "has_user_compute_stream", "user_compute_stream"]);
    assert.deepEqual([options.device_id, options.has_user_compute_stream], ["2", "1"]);
    assert.equal(BigInt(options.user_compute_stream as string), stub.lastStream());
    assert.match(options.user_compute_stream as string, /^\d+$/);
    stream.dispose();
    assert.throws(() => cudaStreamOptions(stream), { code: "disposed" });
  });

  it("says that the CUDA provider is not installed, and lets go of the stream", async function () {
    if (existsSync(join(dirname(environment.libraryPath), "libonnxruntime_providers_cuda.so"))) return this.skip();
    await assert.rejects(OrtSession.create(environment, identityModel("float32"), { stream }), {
      code: "failed",
      message: /could not set CUDA options: .*Failed to load/s,
    });
  });
});
