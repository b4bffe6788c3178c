/** How a call came out. */
export type Outcome =
  | { readonly kind: "returned"; readonly value: unknown }
  | { readonly kind: "threw"; readonly error: unknown };

/**
 * Makes the call and tells `ended` how it came out: at once, or when the promise it returned is settled. The caller gets
 * the same value or the same error; for a promise, one that follows it, so that a rejection nobody handles stays one.
 */
export function settle(call: () => unknown, ended: (outcome: Outcome) => void): unknown {
  let value: unknown;
  try {
    value = call();
  } catch (error) {
    ended({ kind: "threw", error });
    throw error;
  }
  if (!(value instanceof Promise)) {
    ended({ kind: "returned", value });
    return value;
  }
  return value.then(
    (result: unknown) => {
      ended({ kind: "returned", value: result });
      return result;
    },
    (error: unknown) => {
      ended({ kind: "threw", error });
      throw error;
    },
  );
}
