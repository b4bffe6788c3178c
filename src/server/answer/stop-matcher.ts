/**
 * Finds stop strings in text that arrives in pieces. What could still become a stop string is held back.
 * The result does not depend on how the text is cut: the stop string that is complete first wins, the longest of
 * several that end together, and the text ends before it, or with it where that is asked for.
 *
 * One Knuth-Morris-Pratt automaton a stop string, so the work is linear in the text even for hostile strings.
 */
export class StopMatcher {
  readonly #automata: readonly StopAutomaton[];
  #held = "";
  #matched = false;

  constructor(
    stops: readonly string[],
    private readonly includeStop = false,
  ) {
    this.#automata = stops.map((stop) => new StopAutomaton(stop));
  }

  /** True once a stop string was found; later text is dropped. */
  get matched(): boolean {
    return this.#matched;
  }

  /** Takes a piece, returns the text that is certain to belong to the output. */
  push(piece: string): string {
    if (this.#matched) return "";
    if (this.#automata.length === 0) return piece;
    const text = this.#held + piece;
    for (let i = this.#held.length; i < text.length; i++) {
      const stopLength = this.#advance(text.charCodeAt(i));
      if (stopLength > 0) {
        this.#matched = true;
        this.#held = "";
        return text.slice(0, this.includeStop ? i + 1 : i + 1 - stopLength);
      }
    }
    const certain = text.length - Math.max(...this.#automata.map((automaton) => automaton.matched));
    this.#held = text.slice(certain);
    return text.slice(0, certain);
  }

  /** What was held back, once no text follows. */
  flush(): string {
    const rest = this.#held;
    this.#held = "";
    return rest;
  }

  /** Feeds one UTF-16 unit to every automaton; the length of the longest stop string it completes, or 0. */
  #advance(unit: number): number {
    let longest = 0;
    for (const automaton of this.#automata) {
      if (automaton.advance(unit)) longest = Math.max(longest, automaton.length);
    }
    return longest;
  }
}

class StopAutomaton {
  readonly #units: Uint16Array;
  /** For each prefix, the length of its longest proper prefix that is also its suffix. */
  readonly #border: Int32Array;
  /** Length of the longest prefix of the stop string that ends the text so far. */
  matched = 0;

  constructor(stop: string) {
    this.#units = Uint16Array.from({ length: stop.length }, (_, i) => stop.charCodeAt(i));
    this.#border = new Int32Array(stop.length);
    for (let i = 1; i < stop.length; i++) {
      this.#border[i] = this.#next(this.#border[i - 1] ?? 0, this.#units[i] ?? 0);
    }
  }

  get length(): number {
    return this.#units.length;
  }

  /** True when this unit completes the stop string; the automaton is not to be used afterwards. */
  advance(unit: number): boolean {
    this.matched = this.#next(this.matched, unit);
    return this.matched === this.#units.length;
  }

  #next(from: number, unit: number): number {
    let length = from;
    while (length > 0 && this.#units[length] !== unit) length = this.#border[length - 1] ?? 0;
    return this.#units[length] === unit ? length + 1 : 0;
  }
}
