import { type ElementType, OrtMemory, type OrtSession, OrtTensor, type TensorData } from "../../../native/ort.js";

/** Elements of an input on their way to where runs read them. */
export interface InputCopy {
  readonly source: OrtTensor;
  readonly target: OrtTensor;
  /** In both. */
  readonly from: number;
  readonly size: number;
}

/** A device that runs read from. */
export interface InputDevice {
  readonly memory: OrtMemory;
  /** Whether the graph's input of this name is read there, and not on the CPU. */
  reads(input: string): boolean;
  /** Whatever runs later finds what the sources hold now; until such a run has ended they are to be left alone. */
  send(copies: Iterable<InputCopy>): void;
}

/** Where an input lives. */
export interface InputMemory {
  /** Where this process writes it. */
  readonly host: OrtMemory;
  /** Where runs read it, if that is elsewhere. */
  readonly device?: OrtMemory | undefined;
}

/** The device of a session; undefined for the CPU. The caller disposes its memory. */
export function openInputDevice(session: OrtSession): InputDevice | undefined {
  const { environment, stream } = session;
  if (stream === undefined) return undefined;
  return {
    memory: OrtMemory.cuda(environment, stream),
    reads: (input) => session.readsOnDevice(input),
    send: (copies) => {
      // A run has ended since the last ones, so this lets go of their sources, and waits for nothing.
      stream.synchronize();
      for (const { source, target, from, size } of copies) {
        stream.copyFromHost(source.data.subarray(from, from + size), target, from * source.elementBytes);
      }
    },
  };
}

/**
 * A vector that this process writes and runs read. ONNX Runtime would take it to a device as it is bound, to another
 * place each time; so it has a place of its own there, which stays bound, and is sent there before a run.
 */
export class StepInput<T extends ElementType = ElementType> {
  readonly #host: OrtTensor<T>;
  readonly #remote: OrtTensor<T> | undefined;

  /** Throws NativeError `out_of_memory`. */
  constructor({ host, device }: InputMemory, type: T, size: number) {
    this.#host = OrtTensor.allocate(host, type, [size]);
    try {
      this.#remote = device && OrtTensor.allocate(device, type, [size]);
    } catch (error) {
      this.#host.dispose();
      throw error;
    }
  }

  /** As this process writes it. */
  get data(): TensorData<T> {
    return this.#host.data;
  }

  /** As runs read it, from element `offset` on. The caller disposes it. */
  view(offset: number, shape: readonly number[]): OrtTensor<T> {
    return (this.#remote ?? this.#host).view(offset, shape);
  }

  /** What takes these elements to where runs read them; undefined where they are written there. */
  copy(from: number, size: number): InputCopy | undefined {
    return this.#remote && { source: this.#host, target: this.#remote, from, size };
  }

  dispose(): void {
    // Waits for what is on its way there.
    this.#remote?.dispose();
    this.#host.dispose();
  }
}
