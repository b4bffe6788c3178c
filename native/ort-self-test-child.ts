/** Run by `selfTestOrt` in a process of its own: prints a report, or dies without harm to anybody. */
import { NativeError } from "./native-error.js";
import { OrtBinding } from "./ort-binding.js";
import { OrtEnvironment } from "./ort-environment.js";
import { OrtMemory } from "./ort-memory.js";
import { twoNodeModel } from "./ort-models.js";
import type { SelfTestReport } from "./ort-self-test.js";
import { OrtSession } from "./ort-session.js";
import { OrtTensor } from "./ort-value.js";

async function main(): Promise<void> {
  const environment = await OrtEnvironment.start();
  const session = await OrtSession.create(environment, twoNodeModel(["n"]), { threads: 1 });
  const memory = OrtMemory.cpu(environment);
  const binding = OrtBinding.create(session);
  const [x, y, z] = [1, 2, 3].map(() => OrtTensor.allocate(memory, "float32", [2])) as [F32, F32, F32];
  x.data.set([3, -5]);
  y.data.set([4, 7]);
  binding.bindInput("x", x);
  binding.bindInput("y", y);
  binding.bindOutput("z", z);
  binding.run();
  // z = (x + y) * x
  if (z.data[0] !== 21 || z.data[1] !== -10) throw new NativeError("failed", `Two nodes gave ${z.data.join(", ")}.`);
  const { version, buildInfo, providers } = environment;
  const report: SelfTestReport = { version, buildInfo, providers };
  process.stdout.write(JSON.stringify(report));
}

type F32 = OrtTensor<"float32">;

await main();
