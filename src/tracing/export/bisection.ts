import type { SendResult } from "./sender.js";

/** Of 512 spans one that is refused is found after 9 halvings, so this many find several. */
const MOST_HALVINGS = 64;
/** The way to a lone bad span is at most 10 refusals; a collector that refuses more in a row refuses everything. */
const MOST_REFUSALS = 16;

/**
 * Sends `batch`; what is refused is sent again in halves, until what is refused is one span. `settled` gets every span once,
 * with the result that is final for it. The number of POSTs is bounded: a collector that refuses everything costs some twenty.
 */
export async function bisect<T>(
  batch: readonly T[],
  send: (part: readonly T[]) => Promise<SendResult>,
  settled: (part: readonly T[], result: SendResult) => void,
): Promise<void> {
  const parts = [batch];
  let halvings = 0;
  let refusals = 0;
  for (let part = parts.pop(); part !== undefined; part = parts.pop()) {
    const result = await send(part);
    const refused = !result.ok && result.cause === "refused";
    refusals = refused ? refusals + 1 : 0;
    if (refused && part.length > 1 && halvings < MOST_HALVINGS && refusals < MOST_REFUSALS) {
      halvings++;
      const middle = part.length >> 1;
      parts.push(part.slice(middle), part.slice(0, middle));
    } else settled(part, result);
  }
}
