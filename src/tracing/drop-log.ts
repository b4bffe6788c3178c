import { DROP_CAUSES, type DropCause } from "./counters.js";
import { OncePerMinute } from "./once-per-minute.js";

const REASONS: Readonly<Record<DropCause, string>> = {
  ring_full: "spans end faster than the export thread takes them",
  oversize: "a span is larger than the ring or a batch takes",
  undecodable: "the export thread could not read them",
  queue_full: "the collector is slower than spans come, or takes none",
  connection_failed: "no connection to the collector",
  tls_failed: "the collector or this service did not take the other's certificate",
  timeout: "the collector did not answer in time",
  server_error: "the collector answered 5xx or 429",
  refused: "the collector found fault with them (400, 413 or 422)",
  rejected: "the collector answered neither 2xx nor anything that may pass",
  spool_full: "they had to make room on disk for newer ones",
  spool_damaged: "the file that held them is damaged or gone",
  tail_evicted: "their trace was undecided for longer than there was room or time",
  thread_lost: "the export thread that held them died",
  shutdown: "no time was left to send them",
};

/** Tells the log of dropped spans: the first of a cause, and later ones at most once a minute. */
export class DropLog {
  readonly #causes = DROP_CAUSES.map((cause) => ({ cause, told: 0, minute: new OncePerMinute() }));

  constructor(private readonly log: (level: "warn", message: string) => void) {}

  /** @param now milliseconds of a steady clock @param dropped spans since start, by cause */
  check(now: number, dropped: Readonly<Record<string, number>>): void {
    for (const entry of this.#causes) {
      const count = (dropped[entry.cause] ?? 0) - entry.told;
      if (count === 0 || !entry.minute.take(now)) continue;
      entry.told += count;
      const spans = count === 1 ? "1 span" : `${count} spans`;
      this.log("warn", `${spans} dropped (${entry.cause}): ${REASONS[entry.cause]}. Only traces are affected.`);
    }
  }
}
