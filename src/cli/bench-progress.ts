import { failureOf } from "../bench/client/failure.js";
import type { BenchObserver } from "../bench/load/bench-run.js";
import { LatencyHistogram } from "../bench/metrics/latency-histogram.js";
import type { RequestRecord } from "../bench/result.js";

const REFRESH_MS = 250;

interface Screen {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

/** One line about the repeat under way, rewritten in a terminal; elsewhere, one line when it begins. */
export class BenchProgress implements BenchObserver {
  #title = "";
  #began = 0;
  #sent = 0;
  #ended = 0;
  #failed = 0;
  #tokens = 0;
  #ttft = new LatencyHistogram();
  readonly #timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly screen: Screen,
    private readonly clock: { now(): number },
  ) {
    if (screen.isTTY === true) this.#timer = setInterval(() => this.draw(), REFRESH_MS).unref();
  }

  onRepeat(point: string, repeat: number, repeats: number): void {
    const part = repeat === 0 ? ", warm-up" : repeats === 1 ? "" : `, repeat ${repeat} of ${repeats}`;
    this.#title = point + part;
    this.#began = this.clock.now();
    [this.#sent, this.#ended, this.#failed, this.#tokens] = [0, 0, 0, 0];
    this.#ttft = new LatencyHistogram();
    if (this.screen.isTTY !== true) this.screen.write(`${this.#title}\n`);
  }

  onSend(): void {
    this.#sent += 1;
  }

  onRecord({ outcome, outputTokens = 0, firstToken, intended }: RequestRecord): void {
    this.#ended += 1;
    this.#tokens += outputTokens;
    if (failureOf(outcome) !== undefined) this.#failed += 1;
    if (outcome.kind === "ok" && firstToken !== undefined) this.#ttft.add(firstToken - intended);
  }

  stop(): void {
    clearInterval(this.#timer);
    if (this.screen.isTTY === true) this.screen.write("\r\u001b[K");
  }

  /** What the terminal shows now. */
  draw(): void {
    if (this.#title === "" || this.screen.isTTY !== true) return;
    const seconds = (this.clock.now() - this.#began) / 1e3;
    const parts = [
      this.#title,
      `${seconds.toFixed(0)} s`,
      `${this.#ended} done`,
      `${this.#sent - this.#ended} running`,
      ...(this.#failed === 0 ? [] : [`${this.#failed} failed`]),
      `${(this.#tokens / Math.max(seconds, 1e-3)).toFixed(0)} tokens/s`,
      ...(this.#ttft.count === 0 ? [] : [`TTFT p50 ${this.#ttft.percentile(50).toFixed(0)} ms`]),
    ];
    this.screen.write(`\r\u001b[K${parts.join("  ").slice(0, (this.screen.columns ?? 100) - 1)}`);
  }
}
