import type { BenchResult, LatencyName } from "../result.js";

const NAMES: readonly LatencyName[] = ["ttft", "tpot", "itl", "e2e", "queue"];

/** The table at the end of a run. */
export function printReport(result: BenchResult): void {
  for (const { name, summary, warnings = [] } of result.points) {
    const { requests, ok, cancelled, errors, outputTokensPerSecond, requestsPerSecond } = summary;
    const failed = Object.entries(errors).map(([kind, count]) => `${count} ${kind}`);
    console.log(`\n${name}: ${[`${requests} requests`, `${ok} ok`, `${cancelled} cancelled`, ...failed].join(", ")}`);
    console.log(
      `${requestsPerSecond.value.toFixed(2)} requests/s, ${outputTokensPerSecond.value.toFixed(1)} tokens/s out`,
    );
    console.table(
      Object.fromEntries(
        NAMES.flatMap((metric) => {
          const latency = summary.latencies[metric];
          if (latency === undefined) return [];
          const { p50, p90, p95, p99, max } = latency;
          const cells = { p50: p50.value, p90: p90.value, p95: p95.value, p99: p99.value, max };
          return [[`${metric}, ms`, Object.fromEntries(Object.entries(cells).map(([k, v]) => [k, v.toFixed(2)]))]];
        }),
      ),
    );
    for (const warning of warnings) console.log(warning);
  }
  for (const { metric, base, variant, ratio } of result.comparison ?? []) {
    const interval = ratio.low === undefined ? "" : ` (${ratio.low.toFixed(3)} to ${ratio.high?.toFixed(3)})`;
    console.log(`${metric}: ${variant} over ${base} ${ratio.value.toFixed(3)}${interval}`);
  }
}
