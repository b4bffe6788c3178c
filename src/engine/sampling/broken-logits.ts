import { VitrineError } from "../../errors.js";

/** The failure of a row of logits from which nothing can be read. `what` completes "The model's logits …". */
export function brokenLogits(what: string): VitrineError {
  return new VitrineError(
    "inference_failed",
    `The model's logits ${what}, so no token can be chosen; the weights overflow in this dtype or on this device: try --dtype fp32.`,
  );
}
