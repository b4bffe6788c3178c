import { type Metric, type OpenMetricsContentType, Registry, type RegistryContentType } from "prom-client";

/** The same metric under another name. */
export function standIn<M extends Metric>(metric: M, name: string): M {
  return Object.create(metric, { name: { value: name, writable: true } }) as M;
}

/** prom-client takes exemplars only for a registry of this type, which writes Prometheus' own format no less. */
export type MetricsRegistry = Registry<OpenMetricsContentType>;

export function createRegistry(): MetricsRegistry {
  return registryOf(Registry.OPENMETRICS_CONTENT_TYPE);
}

/**
 * The metrics of `registry`, to be written in the format of `contentType`. As it writes OpenMetrics prom-client takes
 * `_total` from the very names of counters, which would be missing from the other format ever after; so it gets stand-ins.
 */
export function inFormat<T extends RegistryContentType>(registry: MetricsRegistry, contentType: T): Registry<T> {
  const written = registryOf(contentType);
  for (const { name } of registry.getMetricsAsArray()) {
    written.registerMetric(standIn(registry.getSingleMetric(name) as Metric, name));
  }
  return written;
}

function registryOf<T extends RegistryContentType>(contentType: T): Registry<T> {
  const registry = new Registry<T>();
  registry.setContentType(contentType);
  return registry;
}

const OPEN_METRICS = "application/openmetrics-text";

/** The format a scraper prefers: OpenMetrics, which alone has exemplars, or Prometheus' older text. @param accept the header */
export function contentTypeFor(accept: string | undefined): RegistryContentType {
  return wantsOpenMetrics(accept) ? Registry.OPENMETRICS_CONTENT_TYPE : Registry.PROMETHEUS_CONTENT_TYPE;
}

function wantsOpenMetrics(accept: string | undefined): boolean {
  const ranges = (accept ?? "")
    .toLowerCase()
    .split(",")
    .map((range) => range.split(";").map((part) => part.trim()));
  const quality = (type: string): number =>
    Math.max(
      0,
      ...ranges
        .filter(([name]) => name === type)
        .map(([, ...parameters]) => Number(parameters.find((one) => one.startsWith("q="))?.slice(2) ?? 1)),
    );
  const open = quality(OPEN_METRICS);
  return open > 0 && open >= quality("text/plain");
}
