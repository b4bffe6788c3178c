import assert from "node:assert/strict";
import {
  type ElementType,
  NativeError,
  type NativeErrorCode,
  OrtBinding,
  OrtEnvironment,
  OrtMemory,
  OrtRunOptions,
  OrtSession,
  OrtTensor,
} from "../../../native/ort.js";
import { twoNodeModel } from "../../../native/ort-models.js";

type F32 = OrtTensor<"float32">;

const error = (code: NativeErrorCode, message: RegExp) => (thrown: unknown) => {
  assert.ok(thrown instanceof NativeError, `not a NativeError: ${String(thrown)}`);
  assert.equal(thrown.code, code);
  assert.match(thrown.message, message);
  return true;
};

describe("ONNX Runtime's C API", () => {
  let environment: OrtEnvironment;
  let memory: OrtMemory;
  let session: OrtSession;

  before(async () => {
    environment = OrtEnvironment.open();
    memory = OrtMemory.cpu(environment);
    session = await OrtSession.create(environment, twoNodeModel(["batch", 2]), { threads: 1 });
  });

  after(() => {
    session.dispose();
    memory.dispose();
  });

  const tensor = (values: readonly number[], shape = [values.length / 2, 2]): F32 => {
    const made = OrtTensor.allocate(memory, "float32", shape);
    made.data.set(values);
    return made;
  };

  /** `z = (x + y) * x`. */
  function bound(x: F32, y: F32, z: F32): OrtBinding {
    const binding = OrtBinding.create(session);
    binding.bindInput("x", x);
    binding.bindInput("y", y);
    binding.bindOutput("z", z);
    return binding;
  }

  it("says what is loaded", () => {
    assert.match(environment.version, /^1\.\d+\.\d+$/);
    assert.match(environment.buildInfo, /ORT Build Info/);
    assert.ok(environment.providers.includes("CPUExecutionProvider"));
  });

  it("has one environment, however it is asked for", async () => {
    assert.equal(OrtEnvironment.open(), environment);
    assert.equal(await OrtEnvironment.start(), environment);
  });

  it("describes inputs and outputs with names, types and open dimensions", () => {
    assert.deepEqual(session.inputs, [
      { name: "x", type: "float32", shape: ["batch", 2] },
      { name: "y", type: "float32", shape: ["batch", 2] },
    ]);
    assert.deepEqual(session.outputs, [{ name: "z", type: "float32", shape: ["batch", 2] }]);
  });

  it("runs a binding again and again on the same memory", () => {
    const [x, y, z] = [tensor([3, -5]), tensor([4, 7]), tensor([0, 0])];
    const binding = bound(x, y, z);
    binding.run();
    assert.deepEqual([...z.data], [21, -10]);
    x.data[0] = 10;
    binding.run();
    assert.deepEqual([...z.data], [140, -10]);
    for (const object of [binding, x, y, z]) object.dispose();
  });

  it("runs on another thread and leaves the event loop free", async () => {
    const [x, y, z] = [tensor([1, 2]), tensor([3, 4]), tensor([0, 0])];
    const binding = bound(x, y, z);
    const order: string[] = [];
    const run = binding.runAsync().then(() => order.push("run"));
    order.push("caller");
    await run;
    assert.deepEqual(order, ["caller", "run"]);
    assert.deepEqual([...z.data], [4, 12]);
    for (const object of [binding, x, y, z]) object.dispose();
  });

  it("gives the outputs that a run allocated", () => {
    const [x, y] = [tensor([1, 2, 3, 4]), tensor([5, 6, 7, 8])];
    const binding = OrtBinding.create(session);
    binding.bindInput("x", x);
    binding.bindInput("y", y);
    binding.bindOutputIn("z", memory);
    binding.run();
    const z = binding.takeOutputs().get("z");
    assert.ok(z);
    binding.dispose();
    assert.equal(z.type, "float32");
    assert.deepEqual(z.shape, [2, 2]);
    assert.deepEqual([...z.data], [6, 16, 30, 48]);
    for (const object of [x, y, z]) object.dispose();
  });

  it("binds views of one memory, which outlives the tensor that was viewed", () => {
    const whole = tensor([1, 2, 3, 4, 5, 6, 0, 0], [4, 2]);
    const [x, y, z] = [whole.view(0, [1, 2]), whole.view(2, [1, 2]), whole.view(6, [1, 2])];
    const data = whole.data;
    whole.dispose();
    const binding = bound(x, y, z);
    for (const view of [x, y]) view.dispose();
    binding.run();
    // The third view still keeps the memory.
    assert.deepEqual([...data.subarray(6)], [4, 12]);
    assert.deepEqual([...z.data], [4, 12]);
    z.dispose();
    binding.dispose();
  });

  it("keeps what a binding uses for as long as the binding lives, whatever is disposed first", () => {
    const [x, y, z] = [tensor([1, 1]), tensor([1, 1]), tensor([0, 0])];
    const binding = bound(x, y, z);
    x.dispose();
    y.dispose();
    binding.run();
    assert.deepEqual([...z.data], [2, 2]);
    z.dispose();
    binding.dispose();
  });

  it("keeps a session until its last binding is gone", async () => {
    const own = await OrtSession.create(environment, twoNodeModel([2]), { threads: 1 });
    const binding = OrtBinding.create(own);
    own.dispose();
    assert.throws(() => binding.run(), error("disposed", /session was disposed/));
    binding.dispose();
  });

  it("holds every element type as the typed array of its width", () => {
    const types: readonly [ElementType, number][] = [
      ["float32", 4],
      ["float16", 2],
      ["bfloat16", 2],
      ["int64", 8],
      ["int32", 4],
      ["uint8", 1],
      ["int8", 1],
      ["bool", 1],
      ["float64", 8],
    ];
    for (const [type, width] of types) {
      const made = OrtTensor.allocate(memory, type, [3, 1]);
      assert.equal(made.data.length, 3, type);
      assert.equal(made.data.BYTES_PER_ELEMENT, width, type);
      made.dispose();
    }
    const none = OrtTensor.allocate(memory, "float32", [1, 0, 4]);
    assert.equal(none.data.length, 0);
    none.view(0, [0, 4]).dispose();
    none.dispose();
  });

  it("terminates runs, and lets them go again", () => {
    const [x, y, z] = [tensor([1, 2]), tensor([3, 4]), tensor([0, 0])];
    const binding = bound(x, y, z);
    const options = OrtRunOptions.create(environment);
    options.terminate();
    assert.throws(() => binding.run(options), error("terminated", /terminate/));
    options.resume();
    binding.run(options);
    assert.deepEqual([...z.data], [4, 12]);
    for (const object of [options, binding, x, y, z]) object.dispose();
  });

  it("gives runs their configuration", () => {
    const [x, y, z] = [tensor([1, 2]), tensor([3, 4]), tensor([0, 0])];
    const binding = bound(x, y, z);
    const known = OrtRunOptions.create(environment, { gpu_graph_id: "-1" });
    binding.run(known);
    assert.deepEqual([...z.data], [4, 12]);
    const wrong = OrtRunOptions.create(environment, { "memory.enable_memory_arena_shrinkage": "nothing:0" });
    assert.throws(() => binding.run(wrong), error("invalid_argument", /memory arena shrink/));
    for (const object of [known, wrong, binding, x, y, z]) object.dispose();
  });

  it("tells which inputs a device reads", () => {
    assert.deepEqual(
      ["x", "y", "other"].map((name) => session.readsOnDevice(name)),
      [false, false, false],
    );
  });

  describe("misuse", () => {
    it("after dispose throws, and disposing twice does nothing", () => {
      const [x, y, z] = [tensor([1, 2]), tensor([3, 4]), tensor([0, 0])];
      const binding = bound(x, y, z);
      const options = OrtRunOptions.create(environment);
      for (const object of [options, binding, x, y, z, x, binding]) object.dispose();
      assert.equal(x.disposed, true);
      const gone = OrtBinding.create(session);
      assert.throws(() => x.data, error("disposed", /tensor was disposed/));
      assert.throws(() => x.view(0, [1]), error("disposed", /tensor was disposed/));
      assert.throws(() => gone.bindInput("x", x), error("disposed", /tensor was disposed/));
      assert.throws(() => binding.run(), error("disposed", /binding was disposed/));
      assert.throws(() => gone.run(options), error("disposed", /run options was disposed/));
      assert.throws(() => options.terminate(), error("disposed", /run options was disposed/));
      gone.dispose();
    });

    it("while a run goes on throws, and disposing waits for its end", async () => {
      const [x, y, z] = [tensor([1, 2]), tensor([3, 4]), tensor([0, 0])];
      const binding = bound(x, y, z);
      const run = binding.runAsync();
      assert.throws(() => binding.run(), error("misuse", /in a run/));
      assert.throws(() => binding.bindInput("x", y), error("misuse", /in a run/));
      await assert.rejects(binding.runAsync(), error("misuse", /in a run/));
      for (const object of [binding, x, y]) object.dispose();
      await run;
      assert.deepEqual([...z.data], [4, 12]);
      z.dispose();
    });

    it("of names, types and shapes is refused before ONNX Runtime sees it", () => {
      const binding = OrtBinding.create(session);
      const ints = OrtTensor.allocate(memory, "int64", [1, 2]);
      const long = OrtTensor.allocate(memory, "float32", [1, 3]);
      const flat = OrtTensor.allocate(memory, "float32", [2]);
      assert.throws(() => binding.bindInput("w", flat), error("misuse", /no input "w"; it has x, y/));
      assert.throws(() => binding.bindInput("z", flat), error("misuse", /no input "z"/));
      assert.throws(() => binding.bindOutput("x", flat), error("misuse", /no output "x"; it has z/));
      assert.throws(() => binding.bindOutputIn("x", memory), error("misuse", /no output "x"/));
      assert.throws(() => binding.bindInput("x", ints), error("misuse", /input "x" is float32, the tensor int64/));
      assert.throws(() => binding.bindInput("x", long), error("misuse", /shape \[batch, 2\], the tensor \[1, 3\]/));
      assert.throws(() => binding.bindInput("x", flat), error("misuse", /the tensor \[2\]/));
      for (const object of [binding, ints, long, flat]) object.dispose();
    });

    it("of shapes that only the run can see is ONNX Runtime's error", () => {
      const [x, y, z] = [tensor([1, 2, 3, 4]), tensor([5, 6, 7, 8, 9, 10]), tensor([0, 0, 0, 0])];
      const binding = bound(x, y, z);
      assert.throws(() => binding.run(), error("failed", /could not run the model: .*Add/s));
      const short = tensor([0, 0]);
      const other = bound(x, x, short);
      assert.throws(() => other.run(), error("invalid_argument", /shape/i));
      for (const object of [binding, other, x, y, z, short]) object.dispose();
    });

    it("of a binding without its inputs is ONNX Runtime's error", () => {
      const binding = OrtBinding.create(session);
      assert.throws(() => binding.run(), error("invalid_argument", /output/i));
      binding.dispose();
    });

    it("of shapes that are none, and of views outside their tensor", () => {
      for (const shape of [[-1], [1.5], [Number.NaN], [2 ** 40, 2 ** 40]]) {
        assert.throws(() => OrtTensor.allocate(memory, "float32", shape), error("misuse", /is no shape/));
      }
      const small = tensor([1, 2]);
      assert.throws(() => small.view(1, [2]), error("misuse", /2 elements from 1 on are not within a tensor of 2/));
      assert.throws(() => small.view(-1, [1]), error("misuse", /from -1 on/));
      small.dispose();
    });

    it("of more memory than there is is an error", () => {
      assert.throws(
        () => OrtTensor.allocate(memory, "uint8", [2 ** 50]),
        error("out_of_memory", /allocate a uint8 \[1125899906842624\] tensor/),
      );
    });

    it("of graphs that are none rejects", async () => {
      await assert.rejects(OrtSession.create(environment, "/nowhere/model.onnx"), error("no_such_file", /\/nowhere/));
      await assert.rejects(OrtSession.create(environment, ""), error("misuse", /needs a graph/));
      await assert.rejects(OrtSession.create(environment, new Uint8Array(0)), error("misuse", /needs a graph/));
      const garbage = new Uint8Array(4096).fill(0xa5);
      await assert.rejects(OrtSession.create(environment, garbage), error("invalid_graph", /load the graph/));
      const model = twoNodeModel([2]);
      const half = model.subarray(0, model.length >> 1);
      await assert.rejects(OrtSession.create(environment, half), (thrown) => thrown instanceof NativeError);
      const unknown = Buffer.from(model);
      unknown.write("Xyz", unknown.indexOf("Add"));
      await assert.rejects(OrtSession.create(environment, unknown), error("invalid_graph", /Xyz/));
    });

    it("of options that ONNX Runtime refuses rejects", async () => {
      await assert.rejects(
        OrtSession.create(environment, twoNodeModel([2]), { entries: { ["k".repeat(5000)]: "v" } }),
        error("invalid_argument", /kkk/),
      );
    });
  });
});
