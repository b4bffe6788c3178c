/**
 * Parts that a machine may lack: a Java runtime, a GPU, a compiler. A test says what it requires; where that is
 * missing it is skipped with a reason that the reporter prints, or fails where continuous integration demands it.
 */

export interface RequiredPart {
  /** What is required, as a noun: "a real Zipkin server". */
  readonly name: string;
  readonly available: boolean;
  /** One sentence: why it is not available. Read only when it is not. */
  readonly why: string;
  /** With `CI=true` a missing part is then a failure instead of a skip. */
  readonly mandatoryInCi: boolean;
}

const reasons = new WeakMap<object, string>();

/**
 * Skips the running test, or from a `before` hook its whole suite, when the part is missing.
 * Throws where `CI=true` and the part is mandatory there.
 */
export function requirePart(context: Mocha.Context, part: RequiredPart, env: NodeJS.ProcessEnv = process.env): void {
  if (part.available) return;
  const reason = `needs ${part.name}: ${part.why}`;
  if (part.mandatoryInCi && env.CI === "true") throw new Error(`${reason} (CI=true makes this part mandatory)`);
  const runnable = context.runnable();
  // A hook that skips makes every test of its suite pending, so the reason belongs to the suite.
  const owner = (runnable as { type?: string }).type === "hook" ? runnable.parent : runnable;
  if (owner !== undefined) reasons.set(owner, reason);
  context.skip();
}

/** Why a pending test was skipped: its own reason, or that of the nearest suite around it. */
export function skipReason(test: Mocha.Test): string {
  const own = reasons.get(test);
  if (own !== undefined) return own;
  for (let suite = test.parent; suite !== undefined; suite = suite.parent) {
    const reason = reasons.get(suite);
    if (reason !== undefined) return reason;
  }
  return "no reason given";
}
