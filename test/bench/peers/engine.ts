/** Our engine over our runtime, as the engine's process has them. */
import { Engine } from "../../../src/engine/engine.js";
import type { ModelRunner } from "../../../src/engine/runner.js";
import { type EngineEvent, monotonicMicros, type RequestEvent } from "../../../src/protocol.js";
import { loadModel } from "../../../src/runtime/load/load-model.js";
import { engineRequest } from "../../support/engine-requests.js";
import { type Peer, type PeerSettings, servePeer } from "./peer.js";

/** More than any measurement lasts. */
const ENDLESS = 500;

class EnginePeer implements Peer {
  readonly #engine: Engine;
  readonly #listeners = new Map<string, (event: RequestEvent) => void>();
  #requests = 0;
  /** Milliseconds of the runs since somebody asked. */
  #steps: { readonly prompt: boolean; readonly ms: number }[] = [];

  constructor(runner: ModelRunner, maxSequences: number) {
    this.#engine = new Engine({
      runner: this.#timed(runner),
      maxSequences,
      clock: monotonicMicros,
      emit: (events) => this.#receive(events),
    });
    void this.#engine.run();
  }

  async prefill(prompt: Int32Array): Promise<void> {
    await this.#firstToken(prompt);
  }

  async rewind(): Promise<void> {}

  async decode(): Promise<void> {
    throw new Error("the engine decodes requests, not steps");
  }

  async together(prompts: readonly Int32Array[], steps: number): Promise<number> {
    const wanted = prompts.length * steps;
    const started = new Set<string>();
    let start = 0;
    let tokens = 0;
    return new Promise((resolve) => {
      const ids = prompts.map((prompt) =>
        this.#submit(prompt, ENDLESS, (event) => {
          if (event.type !== "token" || tokens >= wanted) return;
          // The clock starts when the last one has its first token.
          if (started.size < prompts.length) {
            started.add(event.id);
            start = performance.now();
          } else if (++tokens === wanted) {
            for (const id of ids) this.#engine.dispatch({ type: "cancel", id, cause: "client_gone" });
            resolve(performance.now() - start);
          }
        }),
      );
    });
  }

  async turns(prompt: Int32Array): Promise<{ first: number; second: number }> {
    const { ms: first, tokens } = await this.#answer(prompt, 16);
    const { ms: second } = await this.#answer(Int32Array.of(...prompt, ...tokens, ...prompt.subarray(3, 23)), 1);
    return { first, second };
  }

  async arrival(others: readonly Int32Array[], prompt: Int32Array): Promise<{ gap: number; bound: number }> {
    const last = new Map<string, number>();
    let gap = 0;
    let measuring = false;
    const ids = others.map((other) =>
      this.#submit(other, ENDLESS, (event) => {
        if (event.type !== "token") return;
        const now = performance.now();
        if (measuring) gap = Math.max(gap, now - (last.get(event.id) ?? now));
        last.set(event.id, now);
      }),
    );
    while (last.size < others.length) await new Promise((resolve) => setTimeout(resolve, 50));
    await new Promise((resolve) => setTimeout(resolve, 500));
    this.#steps = [];
    measuring = true;
    await this.#firstToken(prompt);
    measuring = false;
    for (const id of ids) this.#engine.dispatch({ type: "cancel", id, cause: "client_gone" });
    const longest = (prompts: boolean) =>
      Math.max(...this.#steps.filter((step) => step.prompt === prompts).map(({ ms }) => ms));
    return { gap, bound: longest(true) + longest(false) };
  }

  async #firstToken(prompt: Int32Array): Promise<number> {
    return (await this.#answer(prompt, 1)).ms;
  }

  /** Until the first token, in milliseconds, and all of them. */
  #answer(prompt: Int32Array, maxTokens: number): Promise<{ ms: number; tokens: number[] }> {
    const start = performance.now();
    const tokens: number[] = [];
    let ms = 0;
    return new Promise((resolve) => {
      this.#submit(prompt, maxTokens, (event) => {
        if (event.type === "token" && tokens.push(event.token) === 1) ms = performance.now() - start;
        if (event.type === "ended") resolve({ ms, tokens });
      });
    });
  }

  #submit(prompt: Int32Array, maxTokens: number, listener: (event: RequestEvent) => void): string {
    const id = `r${this.#requests++}`;
    this.#listeners.set(id, listener);
    this.#engine.dispatch({ type: "submit", request: engineRequest({ id, prompt, maxTokens }) });
    return id;
  }

  #receive(events: readonly EngineEvent[]): void {
    for (const event of events) {
      if (!("id" in event)) continue;
      this.#listeners.get(event.id)?.(event);
      if (event.type === "ended") this.#listeners.delete(event.id);
    }
  }

  /** The runner, its runs timed. */
  #timed(runner: ModelRunner): ModelRunner {
    const { run } = runner;
    runner.run = async (rows) => {
      const start = performance.now();
      const logits = await run.call(runner, rows);
      this.#steps.push({ prompt: rows.some(({ tokens }) => tokens.length > 1), ms: performance.now() - start });
      return logits;
    };
    return runner;
  }
}

await servePeer(async ({ model, threads, sequences = 1 }: PeerSettings) => {
  const options = { modelDir: model, dtype: "q4", device: "cpu", threads, maxSequences: sequences } as const;
  const { runner } = await loadModel({ ...options, runtime: "native" }, monotonicMicros, () => {});
  return new EnginePeer(runner, sequences);
});
