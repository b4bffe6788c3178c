import type { PositionLogprobs, TokenLogprob } from "../../protocol.js";
import { brokenLogits } from "./broken-logits.js";
import { totalWeight } from "./weight.js";

/** Tokens e^60 times less likely than the likeliest add nothing that a double could hold. */
const REACH = 60;

/**
 * Log probabilities of the model's own distribution at one position: those of `token` and of the `top` likeliest
 * tokens, best first, of equals the lowest ids. A token that the logits have no place for, or that they rule out, has
 * minus infinity.
 * @param logits as the model gave them, one number for each token of the vocabulary
 * @throws VitrineError `inference_failed` when a logit is NaN or none is a finite maximum
 */
export function positionLogprobs(logits: Float32Array, token: number, top: number): PositionLogprobs {
  // The likeliest is needed for the sum in any case.
  const best = likeliest(logits, Math.max(top, 1));
  const max = logits[best[0] as number] as number;
  const logOfSum = max + Math.log(totalWeight(max - REACH, logits, max));
  const of = (id: number): TokenLogprob => ({
    token: id,
    logprob: (logits[id] ?? Number.NEGATIVE_INFINITY) - logOfSum,
  });
  return { ...of(token), top: best.slice(0, top).map(of) };
}

/** Ids of the `count` largest logits, best first. Nearly every logit loses one comparison and is done; NaN loses none. */
function likeliest(logits: Float32Array, count: number): number[] {
  const ids: number[] = [];
  let least = Number.NEGATIVE_INFINITY;
  for (let id = 0; id < logits.length; id++) {
    const logit = logits[id] as number;
    if (logit <= least) continue;
    if (Number.isNaN(logit)) throw brokenLogits("contain NaN");
    if (logit === Number.POSITIVE_INFINITY) throw brokenLogits("contain infinity");
    let place = ids.length;
    while (place > 0 && (logits[ids[place - 1] as number] as number) < logit) place--;
    ids.splice(place, 0, id);
    if (ids.length > count) ids.pop();
    if (ids.length === count) least = logits[ids[count - 1] as number] as number;
  }
  if (ids.length === 0) throw brokenLogits("are all minus infinity");
  return ids;
}
