import type { ElementType } from "./ort-api.js";
import { OrtBinding } from "./ort-binding.js";
import type { OrtEnvironment } from "./ort-environment.js";
import { identityModel } from "./ort-models.js";
import { OrtSession, type OrtSessionOptions } from "./ort-session.js";
import type { OrtTensor } from "./ort-value.js";

/**
 * Copies parts of tensors where they are: the C API has no function for that on a device, so this runs a graph of one
 * Identity there.
 */
export class OrtCopier<T extends ElementType> {
  readonly #session: OrtSession;

  private constructor(session: OrtSession) {
    this.#session = session;
  }

  /** `options` name the device. Throws as `OrtSession.create` does. */
  static async create<T extends ElementType>(
    environment: OrtEnvironment,
    type: T,
    options: OrtSessionOptions,
  ): Promise<OrtCopier<T>> {
    return new OrtCopier<T>(await OrtSession.create(environment, identityModel(type), { ...options, threads: 1 }));
  }

  /** `size` elements from one place to another; they must not overlap. */
  copy(source: OrtTensor<T>, from: number, target: OrtTensor<T>, to: number, size: number): void {
    if (size === 0) return;
    const binding = OrtBinding.create(this.#session);
    const [x, y] = [source.view(from, [size]), target.view(to, [size])];
    try {
      binding.bindInput("x", x);
      binding.bindOutput("y", y);
      binding.run();
    } finally {
      for (const object of [binding, x, y]) object.dispose();
    }
  }

  dispose(): void {
    this.#session.dispose();
  }
}
