import { VitrineError } from "../../errors.js";
import type { EngineRequest, Grammar, Micros, RequestId } from "../../protocol.js";
import type { ConstraintCompiler, TokenConstraint } from "./constraint.js";

/** A request whose grammar is ready, or why it is not. */
export interface Compiled {
  readonly request: EngineRequest;
  readonly result: TokenConstraint | VitrineError;
  readonly at: Micros;
}

/** Requests on their way to the scheduler that wait for their grammar; streams that run do not wait for it. */
export class ConstraintQueue {
  readonly #compiler: ConstraintCompiler | undefined;
  readonly #clock: () => Micros;
  readonly #onCompiled: (compiled: Compiled) => void;
  readonly #waiting = new Map<RequestId, EngineRequest>();

  constructor(compiler: ConstraintCompiler | undefined, clock: () => Micros, onCompiled: (compiled: Compiled) => void) {
    this.#compiler = compiler;
    this.#clock = clock;
    this.#onCompiled = onCompiled;
  }

  /** Forgets all; returns who they were. */
  clear(): readonly RequestId[] {
    const ids = [...this.#waiting.keys()];
    this.#waiting.clear();
    return ids;
  }

  add(request: EngineRequest, grammar: Grammar): void {
    this.#waiting.set(request.id, request);
    void this.#compile(request, grammar);
  }

  /** True when it was there: nothing more is heard of it. */
  delete(id: RequestId): boolean {
    return this.#waiting.delete(id);
  }

  async #compile(request: EngineRequest, grammar: Grammar): Promise<void> {
    const result = await this.#resultOf(request, grammar);
    // Another request may have come with the same id after this one was cancelled.
    if (this.#waiting.get(request.id) !== request) return;
    this.#waiting.delete(request.id);
    this.#onCompiled({ request, result, at: this.#clock() });
  }

  async #resultOf({ stopTokenIds }: EngineRequest, grammar: Grammar): Promise<TokenConstraint | VitrineError> {
    try {
      if (this.#compiler !== undefined) return await this.#compiler.compile(grammar, stopTokenIds);
      return new VitrineError("model_unsupported", "This engine cannot hold an output to a grammar; leave it out.");
    } catch (thrown) {
      return VitrineError.from(thrown);
    }
  }
}
