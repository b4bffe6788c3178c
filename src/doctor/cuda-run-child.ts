/** Run by `runOnCuda` in a process of its own: has a device run a model, or dies without harm to anybody. */
import { OrtBinding, OrtMemory, OrtSession, OrtTensor } from "../../native/ort.js";
import { identityModel } from "../../native/ort-models.js";
import { reasonOf } from "../runtime/files/json-file.js";
import { startOrt, streamOf } from "../runtime/native/native-session.js";
import { ortReason } from "../runtime/node/ort-reason.js";
import type { CudaRun } from "./cuda-run.js";

async function run(device: number): Promise<CudaRun> {
  const environment = await startOrt();
  const stream = streamOf(device);
  const session = await OrtSession.create(environment, identityModel("float32"), { stream });
  const memory = OrtMemory.cuda(environment, stream);
  const given = Float32Array.of(1, -2, 3.5, 0);
  const [source, target] = [0, 1].map(() => OrtTensor.allocate(memory, "float32", [given.length])) as [F32, F32];
  stream.copyFromHost(given, source, 0);
  const binding = OrtBinding.create(session);
  binding.bindInput("x", source);
  binding.bindOutput("y", target);
  binding.run();
  const got = target.read(0, given.length);
  return given.every((value, index) => got[index] === value)
    ? { ran: true }
    : { ran: false, why: `it gave ${got.join(", ")} for ${given.join(", ")}` };
}

type F32 = OrtTensor<"float32">;

async function answer(): Promise<CudaRun> {
  try {
    return await run(Number(process.argv[2]));
  } catch (error) {
    return { ran: false, why: ortReason(reasonOf(error)) };
  }
}

const { stdout } = process;
stdout.write(JSON.stringify(await answer()), () => process.exit(0));
