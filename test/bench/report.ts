/** What every benchmark prints and writes: ratios against a peer measured in the same run, with their spread. */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { parseArgs } from "node:util";

export interface BenchRow {
  readonly name: string;
  readonly against: string;
  /** Median over the rounds of this variant's speed over its peer's; above 1 is faster. */
  readonly ratio: number;
  /** Quartiles of the same; with `confidence`, where the true median lies with that probability. */
  readonly spread: readonly [number, number];
  readonly confidence?: number;
  readonly target?: number;
}

/** What lies behind the ratios: the median of one variant, in a unit of its own. */
export interface BenchValue {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
}

export interface Variant {
  readonly name: string;
  /** One measured round; resolves with its duration or cost, in any unit that all variants share. */
  readonly round: () => Promise<number>;
}

const quantile = (sorted: readonly number[], q: number): number => {
  const at = (sorted.length - 1) * q;
  const low = sorted[Math.floor(at)] ?? Number.NaN;
  return low + ((sorted[Math.ceil(at)] ?? low) - low) * (at % 1);
};

export const median = (costs: readonly number[]): number =>
  quantile(
    [...costs].sort((a, b) => a - b),
    0.5,
  );

export function quantiles(values: readonly number[], at: readonly number[]): number[] {
  const sorted = [...values].sort((a, b) => a - b);
  return at.map((q) => quantile(sorted, q));
}

export function quartiles(values: readonly number[]): [number, number] {
  const sorted = [...values].sort((a, b) => a - b);
  return [quantile(sorted, 0.25), quantile(sorted, 0.75)];
}

/** Median and quartiles of `peer[i] / own[i]`. */
export function compare(own: readonly number[], peer: readonly number[]): Pick<BenchRow, "ratio" | "spread"> {
  const ratios = own.map((cost, round) => (peer[round] ?? Number.NaN) / cost);
  return { ratio: median(ratios), spread: quartiles(ratios) };
}

/**
 * Runs every variant once a round, in an order that rotates, after one round that is not counted: a machine whose speed
 * drifts is then slow for all of them alike. Resolves with each variant's costs by round.
 */
export async function interleave(variants: readonly Variant[], rounds: number): Promise<Map<string, number[]>> {
  const costs = new Map<string, number[]>(variants.map(({ name }) => [name, []]));
  for (let round = 0; round <= rounds; round++) {
    process.stderr.write(`\r  round ${round} of ${rounds}${round === 0 ? " (warm-up)" : "          "}`);
    for (let turn = 0; turn < variants.length; turn++) {
      const variant = variants[(turn + round) % variants.length];
      const cost = await variant?.round();
      if (round > 0 && variant && cost !== undefined) costs.get(variant.name)?.push(cost);
    }
  }
  process.stderr.write("\n");
  return costs;
}

/** Prints the tables; with `--json FILE` or `--markdown FILE` on the command line writes them there, too. */
export function report(command: string, rows: readonly BenchRow[], values: readonly BenchValue[] = []): void {
  const judged = rows.map((row) => ({ ...row, target: row.target ?? null, met: isMet(row) }));
  console.table(
    judged.map(({ name, against, ratio, spread, confidence, target, met }) => ({
      name,
      against,
      ratio: ratio.toFixed(3),
      spread: `${spread[0].toFixed(3)} to ${spread[1].toFixed(3)}${confidence === undefined ? "" : ` (${confidence * 100} %)`}`,
      target: target?.toFixed(2) ?? "",
      met: target === null ? "" : met === null ? "open" : met ? "yes" : "NO",
    })),
  );
  if (values.length > 0) {
    console.table(values.map(({ name, value, unit }) => ({ name, median: Number(value.toPrecision(4)), unit })));
  }
  const { values: flags } = parseArgs({
    options: { json: { type: "string" }, markdown: { type: "string" } },
    strict: false,
  });
  if (typeof flags.json !== "string" && typeof flags.markdown !== "string") return;
  const commit = execFileSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).trim();
  const machine = `${cpus().length} x ${cpus()[0]?.model ?? "unknown"}, Node ${process.version}`;
  const written = { command, commit, date: new Date().toISOString().slice(0, 10), machine, rows: judged, values };
  if (typeof flags.json === "string") writeFileSync(flags.json, `${JSON.stringify(written, null, 2)}\n`);
  if (typeof flags.markdown !== "string") return;
  const origin = `\`${command}\`, commit ${commit}, ${written.date}, ${machine}.`;
  writeFileSync(flags.markdown, `${origin}\n\n${ratioTable(judged)}\n\n${valueTable(values)}\n`);
}

/** Null where there is no target, or where the rounds cannot tell. */
export function isMet({ ratio, spread: [low, high], confidence, target }: BenchRow): boolean | null {
  if (target === undefined) return null;
  if (confidence === undefined) return ratio >= target;
  return low >= target || (high < target ? false : null);
}

interface Judged extends Omit<BenchRow, "target"> {
  readonly target: number | null;
  readonly met: boolean | null;
}

function ratioTable(rows: readonly Judged[]): string {
  const lines = rows.map(({ name, against, ratio, spread, confidence, target, met }) => {
    const goal = target === null ? "" : `${target.toFixed(2)}${met === null ? ", open" : met ? "" : ", **missed**"}`;
    // A target of 0.99 wants a third digit.
    const digits = confidence === undefined ? 2 : 3;
    const [low, high] = spread.map((bound) => bound.toFixed(digits));
    return `| ${name} | ${against} | ${ratio.toFixed(digits)} | ${low} to ${high} | ${goal} |`;
  });
  const spread = rows.every(({ confidence }) => confidence !== undefined) ? "95 % interval" : "quartiles";
  return [`| work | against | ratio | ${spread} | at least |`, "|---|---|---|---|---|", ...lines].join("\n");
}

function valueTable(values: readonly BenchValue[]): string {
  const lines = values.map(({ name, value, unit }) => `| ${name} | ${Number(value.toPrecision(3))} ${unit} |`);
  return ["| work | median |", "|---|---|", ...lines].join("\n");
}
