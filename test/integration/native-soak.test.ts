import assert from "node:assert/strict";
import { OrtBinding, OrtEnvironment, OrtMemory, OrtRunOptions, OrtSession, OrtTensor } from "../../native/ort.js";
import { twoNodeModel } from "../../native/ort-models.js";

/** The long form, minutes: `SOAK=full npx mocha dist/test/integration/native-soak.test.js`. */
const FULL = process.env.SOAK === "full";
const STEPS = FULL ? 1_000_000 : 20_000;
const SESSIONS = FULL ? 1000 : 50;
/** 16 KiB a tensor: one that leaks in every tenth step shows. */
const ELEMENTS = 4096;
/** Far below what any leak comes to, above what allocators and the garbage collector keep. */
const ALLOWED_GROWTH = 24 << 20;

const residentAfterGc = (): number => {
  globalThis.gc?.();
  return process.memoryUsage.rss();
};

describe("native memory", function () {
  this.timeout(FULL ? 1_800_000 : 60_000);

  it(`does not grow over ${STEPS} steps`, async () => {
    const environment = OrtEnvironment.open();
    const memory = OrtMemory.cpu(environment);
    const session = await OrtSession.create(environment, twoNodeModel(["n"]), { threads: 1 });
    const [x, y, z] = ["x", "y", "z"].map(() => OrtTensor.allocate(memory, "float32", [ELEMENTS])) as [F32, F32, F32];
    x.data.fill(2);
    y.data.fill(3);
    const binding = OrtBinding.create(session);
    binding.bindInput("x", x);
    binding.bindInput("y", y);
    binding.bindOutput("z", z);
    const step = async (index: number): Promise<void> => {
      binding.run();
      if (index % 10 !== 0) return;
      await binding.runAsync();
      allocatingRun(session, memory, x);
      failingRun(environment, binding);
    };
    for (let index = 0; index < STEPS / 10; index++) await step(index);
    const before = residentAfterGc();
    for (let index = 0; index < STEPS; index++) await step(index);
    const growth = residentAfterGc() - before;
    assert.equal(z.data[ELEMENTS - 1], 10);
    for (const object of [binding, x, y, z, session, memory]) object.dispose();
    report(`${STEPS} steps`, growth);
    assert.ok(growth < ALLOWED_GROWTH, `grew by ${growth} bytes`);
  });

  it(`does not grow over ${SESSIONS} sessions`, async () => {
    const environment = OrtEnvironment.open();
    const memory = OrtMemory.cpu(environment);
    const once = async (): Promise<void> => {
      const session = await OrtSession.create(environment, twoNodeModel(["n"]), { threads: 2 });
      const x = OrtTensor.allocate(memory, "float32", [ELEMENTS * 16]);
      x.data.fill(1);
      allocatingRun(session, memory, x);
      x.dispose();
      session.dispose();
    };
    for (let index = 0; index < 10; index++) await once();
    const before = residentAfterGc();
    for (let index = 0; index < SESSIONS; index++) await once();
    const growth = residentAfterGc() - before;
    memory.dispose();
    report(`${SESSIONS} sessions`, growth);
    assert.ok(growth < ALLOWED_GROWTH, `grew by ${growth} bytes`);
  });
});

type F32 = OrtTensor<"float32">;

/** A binding of its own, views, and an output that the run allocates. */
function allocatingRun(session: OrtSession, memory: OrtMemory, x: F32): void {
  const own = OrtTensor.allocate(memory, "float32", x.shape);
  own.data.fill(1);
  const view = own.view(0, own.shape);
  const binding = OrtBinding.create(session);
  binding.bindInput("x", x);
  binding.bindInput("y", own);
  binding.bindInput("y", view);
  binding.bindOutputIn("z", memory);
  binding.run();
  for (const output of binding.takeOutputs().values()) output.dispose();
  for (const object of [binding, view, own]) object.dispose();
}

function failingRun(environment: OrtEnvironment, binding: OrtBinding): void {
  const options = OrtRunOptions.create(environment);
  options.terminate();
  assert.throws(() => binding.run(options), { code: "terminated" });
  options.dispose();
}

function report(what: string, growth: number): void {
  if (FULL) process.stdout.write(`${what}: resident memory grew by ${(growth / 2 ** 20).toFixed(1)} MiB\n`);
}
