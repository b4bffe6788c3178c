import { type Command, InvalidArgumentError } from "commander";
import { VitrineError } from "../errors.js";

const share = (text: string): number => {
  const value = Number(text.replace(/%$/, "")) / 100;
  if (!/^[\d.]+%?$/.test(text) || !Number.isFinite(value))
    throw new InvalidArgumentError("expected a share such as 5%");
  return value;
};

/** Adds `vitrine bench compare`. */
export function addCompare(bench: Command): void {
  bench
    .command("compare")
    .description("tell whether two results of `vitrine bench --json` differ by more than noise")
    .argument("<a>", "result to compare with")
    .argument("<b>", "result that is compared")
    .option(
      "--fail-above <SHARE>",
      "exit with 1 where a metric got worse by more than this, and more than by noise: 5%",
      share,
    )
    .action(async (a: string, b: string, { failAbove }: { failAbove?: number }) => {
      process.exitCode = await compare(a, b, failAbove);
    });
}

/** Resolves with the exit status. */
async function compare(a: string, b: string, failAbove: number | undefined): Promise<number> {
  const [{ readResult }, { compareResults }, { describeComparison, regressions }, { terminalStyle }, { seededRandom }] =
    await Promise.all([
      import("../bench/result-file.js"),
      import("../bench/compare/compare.js"),
      import("../bench/compare/describe.js"),
      import("./bench-outputs.js"),
      import("../../models/tiny/random.js"),
    ]);
  // The same two files, the same words.
  const comparison = compareResults(readResult(a), readResult(b), seededRandom(1));
  if (comparison.differences.length === 0) {
    const loads = comparison.unmatched.join(", ");
    throw new VitrineError(
      "config_invalid",
      `${a} and ${b} have no load in common (${loads}): measure the same loads.`,
    );
  }
  console.log(describeComparison(comparison, terminalStyle()));
  if (failAbove === undefined) return 0;
  const worse = regressions(comparison, failAbove);
  for (const { load, metric, ratio } of worse)
    console.error(`${load}: ${metric} is worse, ${ratio.toFixed(3)} times a's.`);
  return worse.length > 0 ? 1 : 0;
}
