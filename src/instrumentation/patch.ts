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

/** Who takes a replaced function's calls: the first. The next one does when that has left. */
interface Patch {
  readonly handlers: Handler[];
  /** Puts the original back, unless somebody else has wrapped the replacement since, which then only passes calls on. */
  readonly restore: () => void;
}

/** A registered symbol, so that a second copy of this package finds the first one's patch and joins it. */
const PATCH = Symbol.for("vitrine.instrumentation.patch");

type AnyFunction = ((...args: unknown[]) => unknown) & { readonly [PATCH]?: Patch };

/**
 * Puts `handler` in front of the function that `owner` has as `name`. The new function has the old one's name, length and
 * properties. Returns what takes the handler out again; with the last one the property becomes what it was. Nothing
 * happens where there is no function, or it cannot be replaced.
 */
export function patch(owner: object, name: string, handler: Handler): () => void {
  const descriptor = Object.getOwnPropertyDescriptor(owner, name);
  if (descriptor === undefined || typeof descriptor.value !== "function") return () => {};
  const original: AnyFunction = descriptor.value;
  const present = original[PATCH] ?? replace(owner, name, descriptor, original);
  present?.handlers.push(handler);
  return () => {
    if (present === undefined) return;
    const index = present.handlers.indexOf(handler);
    if (index >= 0) present.handlers.splice(index, 1);
    if (present.handlers.length === 0) present.restore();
  };
}

function replace(owner: object, name: string, was: PropertyDescriptor, original: AnyFunction): Patch | undefined {
  const handlers: Handler[] = [];
  const value = standIn(owner, name, original, handlers);
  const restore = () => {
    if (Object.getOwnPropertyDescriptor(owner, name)?.value === value) Object.defineProperty(owner, name, was);
  };
  Object.defineProperty(value, PATCH, { value: { handlers, restore } satisfies Patch });
  return Reflect.defineProperty(owner, name, { ...was, value }) ? { handlers, restore } : undefined;
}

function standIn(owner: object, name: string, original: AnyFunction, handlers: readonly Handler[]): object {
  // A method, as what it stands for: no constructor, no prototype.
  const { [name]: method } = {
    [name](this: unknown, ...args: unknown[]): unknown {
      const proceed = () => Reflect.apply(original, this, args);
      const [first] = handlers;
      return first === undefined ? proceed() : first({ self: this, args, owner, proceed });
    },
  };
  return Object.defineProperties(method as object, Object.getOwnPropertyDescriptors(original));
}
