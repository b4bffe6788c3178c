/** Lets at most so many in at once; the others wait in the order in which they came. */
export class Gate {
  #inside = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(private readonly most: number) {}

  /** Resolves with whether it had to wait. */
  async enter(): Promise<boolean> {
    if (this.#inside < this.most) {
      this.#inside += 1;
      return false;
    }
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
    return true;
  }

  leave(): void {
    const next = this.#waiting.shift();
    // Whoever waits longest takes the place of the one that leaves.
    if (next === undefined) this.#inside -= 1;
    else next();
  }
}
