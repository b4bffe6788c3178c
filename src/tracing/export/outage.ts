import { DROP_CAUSES, type ThreadCounters } from "../counters.js";
import { OncePerMinute } from "../once-per-minute.js";

type Log = (level: "info" | "warn" | "error", message: string) => void;

/** Tells the log that a collector takes no spans, at most once a minute, and that it takes them again. */
export class Outage {
  readonly #minute = new OncePerMinute();
  #announced = false;
  /** How many spans were dropped, by cause, when the collector last took some. */
  #before: readonly number[];

  constructor(
    private readonly target: string,
    private readonly counters: ThreadCounters,
    private readonly log: Log,
  ) {
    this.#before = this.#dropped();
  }

  /** @param now milliseconds @param reason one clause; never a header or body @param fate what becomes of the spans */
  failed(now: number, reason: string, fate: string): void {
    if (!this.#minute.take(now)) return;
    this.#announced = true;
    this.log("warn", `Sending spans to ${this.target} failed: ${reason}; ${fate}. Only traces are affected.`);
  }

  /** A batch was taken. */
  over(): void {
    const dropped = this.#dropped();
    if (this.#announced) {
      const lost = DROP_CAUSES.map((cause, i) => ({ cause, count: (dropped[i] ?? 0) - (this.#before[i] ?? 0) })).filter(
        ({ count }) => count > 0,
      );
      const words = lost.map(({ cause, count }) => `${count} ${cause}`).join(", ");
      this.log("info", `Spans reach ${this.target} again; dropped meanwhile: ${words || "none"}.`);
    }
    this.#announced = false;
    this.#before = dropped;
  }

  #dropped(): number[] {
    return DROP_CAUSES.map((cause) => this.counters.get(cause));
  }
}
