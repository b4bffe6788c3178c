/** A call that reached a patched function. */
export interface Call {
  /** `this` of the call. */
  readonly self: unknown;
  readonly args: readonly unknown[];
  /** Where the function was found: of two nested calls, the outer one's differs when it overrides the inner one. */
  readonly owner: object;
  /** Makes the call as it came. */
  readonly proceed: () => unknown;
}

/** Stands for the function: what it returns, the caller gets. */
export type Handler = (call: Call) => unknown;

/**
 * Under a registered symbol, so that a second copy of this package finds the first one's patch and joins it: the
 * first handler takes the calls, the next one when that has left.
 */
const HANDLERS = Symbol.for("vitrine.instrumentation.handlers");

interface Patched {
  [HANDLERS]?: Handler[];
}

/**
 * Puts `handler` in front of the function that `owner` has as `name`. The new function has the old one's name, length and
 * properties. Returns what takes the handler out again; with the last one the property becomes what it was. Nothing
 * happens where there is no function, or it cannot be replaced.
 */
export function patch(owner: object, name: string, handler: Handler): () => void {
  const descriptor = Object.getOwnPropertyDescriptor(owner, name);
  const original: unknown = descriptor?.value;
  if (descriptor === undefined || typeof original !== "function") return () => {};
  const present = (original as Patched)[HANDLERS];
  if (present !== undefined) {
    present.push(handler);
    return () => void remove(present, handler);
  }
  const handlers = [handler];
  const replacement = standIn(owner, name, original as (...args: unknown[]) => unknown, handlers);
  if (!Reflect.defineProperty(owner, name, { ...descriptor, value: replacement })) return () => {};
  return () => {
    remove(handlers, handler);
    // Somebody else may have wrapped it since: then it stays, and only passes calls on.
    const current = Object.getOwnPropertyDescriptor(owner, name)?.value;
    if (handlers.length === 0 && current === replacement) Object.defineProperty(owner, name, descriptor);
  };
}

function standIn(owner: object, name: string, original: (...args: unknown[]) => unknown, handlers: Handler[]) {
  // A method, as what it stands for: no constructor, no prototype.
  const { [name]: replacement } = {
    [name](this: unknown, ...args: unknown[]): unknown {
      const proceed = () => Reflect.apply(original, this, args);
      const [first] = handlers;
      return first === undefined ? proceed() : first({ self: this, args, owner, proceed });
    },
  };
  return Object.defineProperties(replacement as object, {
    ...Object.getOwnPropertyDescriptors(original),
    [HANDLERS]: { value: handlers },
  });
}

function remove(handlers: Handler[], handler: Handler): void {
  const index = handlers.indexOf(handler);
  if (index >= 0) handlers.splice(index, 1);
}
