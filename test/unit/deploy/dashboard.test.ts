import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { metricsPage } from "../../support/metrics-page.js";

interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly datasource?: { readonly uid: string };
  readonly targets?: readonly { readonly expr: string; readonly legendFormat: string }[];
}

interface Dashboard {
  readonly uid: string;
  readonly panels: readonly Panel[];
}

/** Words of PromQL that are no metrics; functions are known by what follows them. */
const KEYWORDS = new Set(["by", "without", "on", "ignoring", "or", "and", "unless", "offset", "bool"]);

interface Query {
  readonly metrics: readonly string[];
  /** In matchers, groupings and legends. */
  readonly labels: readonly string[];
}

/** The names in a query of the plain kind that the dashboard has. */
function namesIn(expr: string, legend = ""): Query {
  const matchers = [...expr.matchAll(/\{([^}]*)\}/g)].flatMap(([, inside = ""]) =>
    [...inside.matchAll(/(\w+)\s*=~?/g)].map(([, name = ""]) => name),
  );
  const grouped = [...expr.matchAll(/\bby \(([^)]*)\)/g)].flatMap(([, inside = ""]) => inside.split(/,\s*/));
  const shown = [...legend.matchAll(/\{\{(\w+)\}\}/g)].map(([, name = ""]) => name);
  const bare = expr
    .replaceAll(/\{[^}]*\}/g, "")
    .replaceAll(/\[[^\]]*\]/g, "")
    .replaceAll(/\bby \([^)]*\)/g, "");
  const words = [...bare.matchAll(/[a-zA-Z_][\w:]*(?!\w|:|\s*\()/g)].map(([word]) => word);
  return { metrics: words.filter((word) => !KEYWORDS.has(word)), labels: [...matchers, ...grouped, ...shown] };
}

describe("Grafana dashboard", () => {
  const dashboard = JSON.parse(readFileSync("deploy/grafana/dashboards/vitrine.json", "utf8")) as Dashboard;
  const queries = dashboard.panels.flatMap(({ title, targets = [] }) =>
    targets.map(({ expr, legendFormat }) => ({ title, expr, ...namesIn(expr, legendFormat) })),
  );

  it("asks for metrics that the service has, and for no others", async () => {
    const page = await metricsPage();
    // A histogram's samples have endings of their own.
    const types = new Map([...page.matchAll(/^# TYPE (\S+) (\w+)$/gm)].map(([, name = "", type = ""]) => [name, type]));
    const exists = (name: string): boolean =>
      types.has(name) || types.get(name.replace(/_(bucket|sum|count)$/, "")) === "histogram";
    const unknown = queries.flatMap(({ title, metrics }) =>
      metrics.filter((name) => !exists(name)).map((name) => `${title}: ${name}`),
    );
    assert.deepEqual(unknown, []);
    assert.ok(queries.every(({ metrics }) => metrics.length > 0));
  });

  it("asks by labels that those metrics have", async () => {
    const page = await metricsPage();
    const labelsOf = (metric: string): Set<string> => {
      const samples = page.split("\n").filter((line) => line.startsWith(`${metric}{`) || line.startsWith(`${metric} `));
      return new Set(samples.flatMap((line) => [...line.matchAll(/[{,](\w+)="/g)].map(([, name = ""]) => name)));
    };
    const unknown = queries.flatMap(({ title, metrics, labels }) => {
      // Prometheus itself adds these.
      const known = new Set(["instance", "job", ...metrics.flatMap((metric) => [...labelsOf(metric)])]);
      return labels.filter((label) => !known.has(label)).map((label) => `${title}: ${label}`);
    });
    assert.deepEqual(unknown, []);
  });

  it("shows what the service is looked at for", () => {
    const asked = new Set(queries.flatMap(({ metrics }) => metrics));
    for (const name of [
      "vllm:time_to_first_token_seconds_bucket",
      "vllm:inter_token_latency_seconds_bucket",
      "vitrine_tokens_total",
      "vitrine_requests_waiting",
      "vitrine_kv_cache_utilization",
      "vitrine_kv_cache_allocated_bytes",
      "vitrine_kv_cache_growth_seconds_total",
      "vitrine_kv_cache_growth_failures_total",
      "hw_gpu_utilization_ratio",
      "hw_energy_joules_total",
      "zipkin_reporter_spans_dropped_total",
      "vitrine_cost_device_seconds_total",
    ]) {
      assert.ok(asked.has(name), name);
    }
  });

  it("has panels of their own number that do not overlap, and queries of one data source", () => {
    const { panels } = dashboard;
    assert.equal(new Set(panels.map(({ id }) => id)).size, panels.length);
    const cells = panels.flatMap(({ title, gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, i) => ({ title, cell: `${x + (i % w)},${y + Math.floor(i / w)}` })),
    );
    assert.equal(new Set(cells.map(({ cell }) => cell)).size, cells.length);
    assert.ok(panels.every(({ type, datasource }) => type === "row" || datasource?.uid === "prometheus"));
  });

  it("is read by its test as Prometheus would", () => {
    const expr = 'sum by (le, kind) (rate(a:b_total{x=~"y", z="1"}[$__rate_interval])) / c > 0 or vector(0)';
    assert.deepEqual(namesIn(expr, "{{kind}}"), {
      metrics: ["a:b_total", "c"],
      labels: ["x", "z", "le", "kind", "kind"],
    });
  });
});
