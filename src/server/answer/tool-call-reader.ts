import type { ToolCallFormat } from "../../protocol.js";

/** A part of one tool call, as OpenAI's API streams them: the first has id and name, the others more of the arguments. */
export interface ToolCallDelta {
  readonly index: number;
  readonly id?: string;
  readonly type?: "function";
  readonly function: { readonly name?: string; readonly arguments: string };
}

/** What a piece of output says. */
export interface Heard {
  /** Text outside of calls. */
  readonly text: string;
  readonly calls: readonly ToolCallDelta[];
}

type State = "text" | "open" | "name" | "middle" | "arguments" | "after" | "prose";

/** Tells tool calls from text in output that comes in pieces. What could still become either is held back. */
export class ToolCallReader {
  #state: State = "text";
  #held = "";
  #calls = 0;
  readonly #arguments = new JsonEnd();

  constructor(
    private readonly format: ToolCallFormat,
    private readonly newId: () => string,
  ) {}

  /** Calls that are whole. */
  get calls(): number {
    return this.#calls;
  }

  push(piece: string): Heard {
    this.#held += piece;
    let text = "";
    const calls: ToolCallDelta[] = [];
    for (let on = true; on; ) {
      const before = this.#state;
      const { length } = this.#held;
      text += this.#text();
      calls.push(...this.#call());
      on = this.#held !== "" && (before !== this.#state || length !== this.#held.length);
    }
    return { text, calls };
  }

  /** What is left, once no output follows. An unfinished call has no more to say. */
  flush(): Heard {
    const text = this.#state === "text" || this.#state === "prose" || this.#state === "open" ? this.#held : "";
    this.#held = "";
    return { text: this.#calls > 0 ? "" : text, calls: [] };
  }

  #text(): string {
    if (this.#state === "prose") return this.#take(this.#held.length);
    if (this.#state !== "text") return "";
    const { marker, open } = this.format;
    if (marker === "") {
      this.#state = this.#held.startsWith(open.slice(0, this.#held.length)) ? "open" : "prose";
      return "";
    }
    const at = this.#held.indexOf(marker);
    if (at >= 0) {
      const text = this.#take(at);
      this.#take(marker.length);
      this.#state = "open";
      return text;
    }
    return this.#take(this.#held.length - overlap(this.#held, marker));
  }

  #call(): readonly ToolCallDelta[] {
    const { format } = this;
    switch (this.#state) {
      case "open":
        return this.#literal(format.open.slice(format.marker.length), "name");
      case "name": {
        const name = /^[\w-]*/.exec(this.#held)?.[0] ?? "";
        if (name.length === this.#held.length) return [];
        this.#take(name.length);
        this.#state = "middle";
        return [this.#delta({ id: this.newId(), type: "function" }, { name, arguments: "" })];
      }
      case "middle":
        return this.#literal(format.middle, "arguments");
      case "arguments": {
        if (this.#held === "") return [];
        const end = this.#arguments.find(this.#held);
        const delta = this.#delta({}, { arguments: this.#take(end ?? this.#held.length) });
        if (end !== undefined) {
          this.#state = "after";
          this.#calls++;
        }
        return [delta];
      }
      case "after":
        return this.#between();
      default:
        return [];
    }
  }

  #delta(head: Partial<ToolCallDelta>, part: ToolCallDelta["function"]): ToolCallDelta {
    return { index: this.#calls, ...head, function: part };
  }

  #between(): readonly [] {
    const { between, close } = this.format;
    if (between !== undefined && this.#held.startsWith(between)) {
      this.#take(between.length);
      this.#state = "name";
    } else if (!between?.startsWith(this.#held) && this.#held.startsWith(close)) {
      this.#take(close.length);
      this.#state = "prose";
    }
    return [];
  }

  #literal(text: string, then: State): readonly [] {
    if (this.#held.startsWith(text)) {
      this.#take(text.length);
      this.#state = then;
    } else if (!text.startsWith(this.#held)) {
      this.#state = "prose";
    }
    return [];
  }

  #take(length: number): string {
    const taken = this.#held.slice(0, length);
    this.#held = this.#held.slice(length);
    return taken;
  }
}

/** Finds where a JSON object ends that comes in pieces. */
class JsonEnd {
  #depth = 0;
  #inString = false;
  #escaped = false;

  /** The length of its part of `piece`, when it ends there. */
  find(piece: string): number | undefined {
    for (let i = 0; i < piece.length; i++) {
      const character = piece[i];
      if (this.#escaped) this.#escaped = false;
      else if (this.#inString && character === "\\") this.#escaped = true;
      else if (character === '"') this.#inString = !this.#inString;
      else if (!this.#inString && (character === "{" || character === "[")) this.#depth++;
      else if (!this.#inString && (character === "}" || character === "]") && --this.#depth === 0) return i + 1;
    }
    return undefined;
  }
}

/** Length of the longest end of `text` that `marker` begins with. */
function overlap(text: string, marker: string): number {
  let length = Math.min(text.length, marker.length - 1);
  while (length > 0 && !text.endsWith(marker.slice(0, length))) length--;
  return length;
}

/** Parts of calls with those of one call joined. */
export function joinCalls(deltas: readonly ToolCallDelta[]): readonly ToolCallDelta[] {
  const calls = new Map<number, ToolCallDelta>();
  for (const delta of deltas) {
    const known = calls.get(delta.index);
    const joined = known?.function.arguments ?? "";
    const part = { ...known?.function, ...delta.function, arguments: joined + delta.function.arguments };
    calls.set(delta.index, { ...known, ...delta, function: part });
  }
  return [...calls.values()];
}
