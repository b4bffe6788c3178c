import { fields } from "./shapes.js";

/** A function of a module that is to be patched: the object that has it, and its name there. */
export interface Target {
  readonly owner: object;
  readonly name: string;
  readonly role: Role;
}

export type Role =
  | "loadPipeline"
  | "loadModel"
  | "loadTokenizer"
  | "runPipeline"
  | "tokenize"
  | "detokenize"
  | "generate"
  | "forward"
  | "encode";

type Class = abstract new (...args: never[]) => object;

/**
 * Where the functions are, found by what classes have and not by their names: bundles rename classes and do not export
 * every base. Calls inside a bundle go through the same classes, so a method that is patched is patched for them as well.
 */
export function findTargets(exports: object): Target[] {
  const targets = new Map<object, Target[]>();
  for (const [exported, value] of Object.entries(exports)) {
    if (!isClass(value)) continue;
    for (const one of ancestry(value)) {
      if (!targets.has(one)) targets.set(one, targetsOf(one, exported));
    }
  }
  const pipeline: Target = { owner: exports, name: "pipeline", role: "loadPipeline" };
  return [pipeline, ...[...targets.values()].flat()];
}

function targetsOf(one: Class, exported: string): Target[] {
  const { prototype } = one;
  if (has(prototype, "generate") && has(prototype, "forward")) {
    return [
      ...own(prototype, "generate", "generate"),
      ...own(prototype, "forward", "forward"),
      ...own(prototype, "_prepare_encoder_decoder_kwargs_for_generation", "encode"),
      ...own(one, "from_pretrained", "loadModel"),
    ];
  }
  if (has(prototype, "encode") && has(prototype, "batch_decode") && has(prototype, "_call")) {
    return [
      ...own(prototype, "_call", "tokenize"),
      ...own(prototype, "encode", "tokenize"),
      ...own(prototype, "batch_decode", "detokenize"),
      ...own(one, "from_pretrained", "loadTokenizer"),
    ];
  }
  if (exported.endsWith("Pipeline") && has(prototype, "dispose")) return own(prototype, "_call", "runPipeline");
  if (exported === "AutoTokenizer") return own(one, "from_pretrained", "loadTokenizer");
  return exported.startsWith("AutoModel") ? own(one, "from_pretrained", "loadModel") : [];
}

function own(owner: object, name: string, role: Role): Target[] {
  return typeof Object.getOwnPropertyDescriptor(owner, name)?.value === "function" ? [{ owner, name, role }] : [];
}

/** Whether the method is there, without running a getter to find out. */
function has(prototype: object, name: string): boolean {
  for (let one: object | null = prototype; one !== null; one = Object.getPrototypeOf(one)) {
    const descriptor = Object.getOwnPropertyDescriptor(one, name);
    if (descriptor !== undefined) return typeof descriptor.value === "function";
  }
  return false;
}

function isClass(value: unknown): value is Class {
  return typeof value === "function" && typeof fields(value).prototype === "object" && value.prototype !== null;
}

/** A class and what it extends, the nearest first. */
function ancestry(one: Class): Class[] {
  const found: Class[] = [];
  for (let next: unknown = one; isClass(next); next = Object.getPrototypeOf(next)) found.push(next);
  return found;
}
