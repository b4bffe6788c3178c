import type { RowLogits, RunnerRow } from "../engine/runner.js";
import type { DeviceChoice, ModelDescription } from "../protocol.js";
import type { PreparedGraph } from "./graph/prepare-graph.js";
import { ROTARY_POSITIONS } from "./graph/rope-tables.js";
import type { OtherWay, RehearsingRunner } from "./native/rehearsal.js";
import type { GraphSignature } from "./signature/graph-signature.js";

/** What is added to positions for the rotary tables, of a sequence of `length` tokens: the long table is below the short. */
export function rotaryShift(ropeSwitch: number | undefined, length: number): number {
  return ropeSwitch !== undefined && length > ropeSwitch ? ropeSwitch : 0;
}

/**
 * Before a session on CUDA is created: of ONNX Runtime's ways to attend there, the one that appends to the cache by itself
 * (`FlashDecoding`, group_query_attention_impl.cu) rotates by the length of the sequence, whatever positions it is given.
 */
export function heedRotaryPositions(
  { nodes }: Pick<PreparedGraph, "nodes">,
  { provider }: DeviceChoice,
  environment: NodeJS.ProcessEnv = process.env,
): void {
  if (provider !== "cuda" || !nodes.some(({ inputs }) => inputs.includes(ROTARY_POSITIONS))) return;
  environment.ORT_DISABLE_FLASH_DECODE = "1";
}

/** The runner itself, where one table of rotary factors is for all lengths. */
export function withRopeSwitch(
  runner: RehearsingRunner,
  { rotaryPositions }: Pick<GraphSignature, "rotaryPositions">,
  ropeSwitch: number | undefined,
): RehearsingRunner {
  if (rotaryPositions === undefined || ropeSwitch === undefined) return runner;
  return new RopeSwitchRunner(runner, ropeSwitch);
}

/** A sequence as it is in the cache. */
interface Held {
  readonly ids: number[];
  /** Made with the long table. */
  long: boolean;
}

/**
 * A model whose rotary factors change with a sequence's length (LongRoPE): where it grows beyond `ropeSwitch` tokens all
 * that is in its cache has the wrong ones, and is computed again with the right ones, once. So does Hugging Face's
 * `generate`; a graph alone would go on with keys of both kinds.
 */
class RopeSwitchRunner implements RehearsingRunner {
  readonly model: ModelDescription;
  readonly rewinds: boolean;
  readonly #runner: RehearsingRunner;
  readonly #ropeSwitch: number;
  readonly #held = new Map<number, Held>();

  constructor(runner: RehearsingRunner, ropeSwitch: number) {
    this.model = runner.model;
    this.rewinds = runner.rewinds;
    this.#runner = runner;
    this.#ropeSwitch = ropeSwitch;
  }

  get device(): DeviceChoice {
    return this.#runner.device;
  }

  get replay(): OtherWay | undefined {
    return this.#runner.replay;
  }

  run(rows: readonly RunnerRow[]): Promise<readonly RowLogits[]> {
    return this.#runner.run(rows.map((row) => this.#rowToRun(row)));
  }

  reserve(rows: number, tokens: number): void {
    this.#runner.reserve(rows, tokens);
  }

  copy(from: number, to: number, tokens: number): void {
    const held = this.#held.get(from);
    if (held !== undefined) this.#held.set(to, { ids: held.ids.slice(0, tokens), long: held.long });
    this.#runner.copy(from, to, tokens);
  }

  release(slot: number): void {
    this.#held.delete(slot);
    this.#runner.release(slot);
  }

  dispose(): Promise<void> {
    return this.#runner.dispose();
  }

  #rowToRun(row: RunnerRow): RunnerRow {
    const { slot, tokens, past } = row;
    const long = rotaryShift(this.#ropeSwitch, past + tokens.length) > 0;
    const held = this.#held.get(slot) ?? { ids: [], long };
    const kept = past === 0 || held.long === long;
    held.ids.length = Math.min(held.ids.length, past);
    held.ids.push(...tokens);
    held.long = long;
    this.#held.set(slot, held);
    return kept ? row : { ...row, tokens: Int32Array.from(held.ids), past: 0 };
  }
}
