/** Keeps a metric's label to a bounded number of values: the first ones have their own, the rest share `other`. */
export class FewLabels {
  readonly #known = new Set<string>();

  constructor(private readonly most: number) {}

  labelOf(value: string): string {
    if (this.#known.size < this.most) this.#known.add(value);
    return this.#known.has(value) ? value : "other";
  }
}
