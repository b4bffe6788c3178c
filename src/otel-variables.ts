/**
 * OpenTelemetry's environment variables whose values are not what an option of ours takes
 * (https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/).
 */

const FORMATS: Readonly<Record<string, string>> = { tracecontext: "w3c", b3: "b3", b3multi: "b3multi" };

/** Baggage is always passed on; formats that there are none of here are left out. */
function propagationOf(list: string): string | undefined {
  const formats = entriesOf(list).flatMap((name) => FORMATS[name.toLowerCase()] ?? []);
  return formats.length === 0 ? undefined : formats.join(",");
}

/** A caller's decision holds whatever the sampler's name says. */
function sampleRateOf(sampler: string, env: NodeJS.ProcessEnv): string | undefined {
  const share = { always_on: "1", always_off: "0", traceidratio: env.OTEL_TRACES_SAMPLER_ARG || "1" };
  return Object.entries(share).find(([name]) => sampler.replace(/^parentbased_/, "") === name)?.[1];
}

/** `k=v,k2=v2`, percent-encoded. What is malformed is left out. */
export function resourceAttributes(list = ""): Readonly<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const entry of entriesOf(list)) {
    const [, name, encoded] = /^([^=\s]+)\s*=\s*(.*)$/.exec(entry) ?? [];
    try {
      if (name !== undefined) found[name] = decodeURIComponent(encoded ?? "");
    } catch {
      // Not percent-encoded text.
    }
  }
  return found;
}

/** The items of a list with commas. */
export function entriesOf(list: string): string[] {
  return list
    .split(",")
    .map((entry) => entry.trim())
    .filter((entry) => entry !== "");
}

/** By variable: the value as our option takes it; undefined where it says nothing that the option could. */
export const TRANSLATIONS: Readonly<Record<string, (value: string, env: NodeJS.ProcessEnv) => string | undefined>> = {
  // What `/v1/traces` is below, whatever its path; the others name the whole address.
  OTEL_EXPORTER_OTLP_ENDPOINT: (base) => `${base.replace(/\/+$/, "")}/v1/traces`,
  OTEL_PROPAGATORS: propagationOf,
  OTEL_TRACES_SAMPLER: sampleRateOf,
  OTEL_RESOURCE_ATTRIBUTES: (list) => resourceAttributes(list)["service.name"],
};
