/** The KV cache where the native runner has it: whether it holds what it was given, and what moving it takes. */
import { type CudaStream, OrtMemory, type OrtTensor } from "../../../native/ort.js";
import { copyInHostMemory, copyOnDevice } from "../../../src/runtime/native/cache-memory.js";
import { startOrt, streamOf } from "../../../src/runtime/native/native-session.js";
import { SlotCache } from "../../../src/runtime/native/slot-cache.js";
import type { FloatType } from "../../../src/runtime/signature/graph-signature.js";
import { judged } from "./check-row.js";
import type { SectionContext } from "./section.js";

const ROWS = 8;
const ROUNDS = 40;
/** The driver gives and takes whole pages. */
const GIVEN_BACK = 0.95;

type Halves = OrtTensor<FloatType>;

export async function measureCacheMoves({ settings, tell }: SectionContext): Promise<void> {
  const { device, shape, context } = settings;
  const environment = await startOrt();
  const stream = device === "cpu" ? undefined : streamOf(0);
  const memory = stream === undefined ? OrtMemory.cpu(environment) : OrtMemory.cuda(environment, stream);
  const copy = stream === undefined ? copyInHostMemory : copyOnDevice(stream);
  const entries = Array.from({ length: 2 * shape.layers }, () => ({ heads: shape.kvHeads, headDim: shape.headDim }));
  const before = stream?.room.free;
  const cache = new SlotCache({ memory, copy, type: "float16", entries });
  for (let slot = 0; slot < ROWS; slot++) cache.admit(slot);
  cache.reserve(ROWS, context);
  for (let slot = 0; slot < ROWS; slot++) cache.setLength(slot, context - slot);
  const marks = new CacheMarks(cache, stream);
  marks.write();

  const timed = (name: string, count: number, act: (index: number) => void): void => {
    stream?.synchronize();
    const start = performance.now();
    for (let index = 0; index < count; index++) act(index);
    stream?.synchronize();
    tell({ name: `cache: ${name}`, value: ((performance.now() - start) / count) * 1e3, unit: "us" });
  };
  timed("two rows of a full context exchanged", ROUNDS, (index) => cache.arrange([(index * 3) % ROWS]));
  timed("grown to twice its tokens", 1, () => cache.reserve(ROWS, 2 * context));
  timed("shrunk again", 1, () => cache.reserve(ROWS, context));
  tell(judged({ name: "cache: wrong tokens after that", value: marks.wrong() }, "at most", 0));
  cache.dispose();
  if (stream === undefined || before === undefined) return;
  const bytes = 2 * ROWS * context * shape.kvHeads * shape.headDim * entries.length;
  const kept = before - stream.room.free;
  tell(judged({ name: "cache: share of its memory given back", value: 1 - kept / bytes }, "at least", GIVEN_BACK));
}

/** The first element of every token of a head says of which slot, tensor, head and position it is. */
class CacheMarks {
  constructor(
    private readonly cache: SlotCache,
    private readonly stream: CudaStream | undefined,
  ) {}

  write(): void {
    this.#forEachHead((tensor, start, marks) => {
      const values = new Uint16Array(marks.length * this.#headDim(tensor));
      for (const [token, mark] of marks.entries()) values[token * this.#headDim(tensor)] = mark;
      if (this.stream === undefined) tensor.data.set(values, start);
      else this.stream.copyFromHost(values, tensor, start * tensor.elementBytes);
    });
    this.stream?.synchronize();
  }

  wrong(): number {
    let wrong = 0;
    this.#forEachHead((tensor, start, marks) => {
      const read = tensor.read(start, marks.length * this.#headDim(tensor));
      for (const [token, mark] of marks.entries()) if (read[token * this.#headDim(tensor)] !== mark) wrong++;
    });
    return wrong;
  }

  #headDim({ shape }: Halves): number {
    return shape[3] as number;
  }

  #forEachHead(visit: (tensor: Halves, start: number, marks: readonly number[]) => void): void {
    for (const [index, tensor] of this.cache.tensors.entries()) {
      const [, heads = 0] = tensor.shape;
      for (let slot = 0; slot < ROWS; slot++) {
        for (let head = 0; head < heads; head++) {
          const first = ((this.cache.rowOf(slot) as number) * heads + head) * this.cache.tokens;
          const marks = Array.from(
            { length: this.cache.lengthOf(slot) },
            (_, token) => (slot * 9973 + index * 631 + head * 127 + token) & 0xffff,
          );
          visit(tensor, first * this.#headDim(tensor), marks);
        }
      }
    }
  }
}
