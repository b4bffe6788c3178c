import { OrtBinding, OrtMemory, OrtSession, OrtTensor } from "../../../native/ort.js";
import { identityModel } from "../../../native/ort-models.js";
import { startOrt, streamOf } from "../../../src/runtime/native/native-session.js";
import type { SectionContext } from "./section.js";

export const BANDWIDTH = "memory bandwidth";
const RUNS = 20;

/** Bytes a second that the device's memory reads and writes while a tensor is copied in it: a graph of one Identity. */
export async function measureCopies({ settings: { device, copyBytes }, tell }: SectionContext): Promise<void> {
  const environment = await startOrt();
  const stream = device === "cpu" ? undefined : streamOf(0);
  const session = await OrtSession.create(
    environment,
    identityModel("float32"),
    stream === undefined ? {} : { stream },
  );
  const memory = stream === undefined ? OrtMemory.cpu(environment) : OrtMemory.cuda(environment, stream);
  const [source, target] = [0, 1].map(() => OrtTensor.allocate(memory, "float32", [copyBytes / 4]));
  const binding = OrtBinding.create(session);
  binding.bindInput("x", source as OrtTensor);
  binding.bindOutput("y", target as OrtTensor);
  binding.run();
  let best = Number.POSITIVE_INFINITY;
  for (let run = 0; run < RUNS; run++) {
    const start = performance.now();
    binding.run();
    best = Math.min(best, performance.now() - start);
  }
  tell({ name: BANDWIDTH, value: (2 * copyBytes) / 1e6 / best, unit: "GB/s read and written" });
}
