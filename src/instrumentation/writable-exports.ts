const copies = new WeakMap<object, object>();

/**
 * A module's exports with an export `name` that can be replaced. Bundlers' CommonJS exports are getters that cannot be
 * redefined, and an ES module that was required has a namespace nobody can write to: for those, an object with the same
 * properties, always the same one for the same exports. Hooks of `import` hand out one that writes through.
 */
export function writableExports(exports: object, name: string): object {
  const descriptor = Object.getOwnPropertyDescriptor(exports, name);
  if (descriptor === undefined || (descriptor.configurable === true && "value" in descriptor)) return exports;
  let copy = copies.get(exports);
  if (copy === undefined) {
    const value: unknown = Reflect.get(exports, name);
    copy = Object.defineProperties(Object.create(Object.getPrototypeOf(exports)), {
      ...Object.getOwnPropertyDescriptors(exports),
      [name]: { value, writable: true, enumerable: true, configurable: true },
    }) as object;
    copies.set(exports, copy);
  }
  return copy;
}
