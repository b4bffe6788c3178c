import type { TraceState } from "@opentelemetry/api";

const MOST_MEMBERS = 32;
/** Level 2's; level 1 allowed one `@` with at most 241 characters before it and 14 after it. */
const KEY = /^[a-z0-9][a-z0-9_*/@-]{0,255}$/;
/** Printable ASCII without comma and equals sign; the last one is no space. */
const VALUE = /^[ -+\--<>-~]{0,255}[!-+\--<>-~]$/;

/**
 * W3C's `tracestate` (https://www.w3.org/TR/trace-context-2/#tracestate-header). A list with a broken member, or with more
 * than 32, is no list: it is left out whole. OpenTelemetry's own class would send on what is left. Of two members with
 * one key the first stays, which is the later one: who writes, writes at the front.
 */
export class VendorList implements TraceState {
  private constructor(private readonly members: ReadonlyMap<string, string>) {}

  static readonly empty = new VendorList(new Map());

  /** Undefined where there is no list, or none that is valid. */
  static parse(text: string | undefined): VendorList | undefined {
    const members = new Map<string, string>();
    for (const part of text?.split(",") ?? []) {
      const member = part.replace(/^[ \t]+|[ \t]+$/g, "");
      // Headers may be empty, and lists have empty members.
      if (member === "") continue;
      const equals = member.indexOf("=");
      const [key, value] = [member.slice(0, equals), member.slice(equals + 1)];
      if (equals === -1 || !KEY.test(key) || !VALUE.test(value)) return undefined;
      if (!members.has(key)) members.set(key, value);
    }
    return members.size === 0 || members.size > MOST_MEMBERS ? undefined : new VendorList(members);
  }

  get(key: string): string | undefined {
    return this.members.get(key);
  }

  /** What is new goes first; the last member makes room for it. */
  set(key: string, value: string): VendorList {
    const others = [...this.unset(key).members].slice(0, MOST_MEMBERS - 1);
    return new VendorList(new Map([[key, value], ...others]));
  }

  unset(key: string): VendorList {
    return new VendorList(new Map([...this.members].filter(([other]) => other !== key)));
  }

  serialize(): string {
    return Array.from(this.members, ([key, value]) => `${key}=${value}`).join(",");
  }
}
