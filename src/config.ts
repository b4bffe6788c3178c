/** Flags and environment to one frozen, checked configuration. A flag beats the environment, which beats the default. */
import type { z } from "zod";
import { VitrineError } from "./errors.js";
import { OPTIONS, type OptionName, type OptionRow, readSwitch, zipkinUrl } from "./options.js";
import { TRANSLATIONS } from "./otel-variables.js";

export type Config = { readonly [K in OptionName]: z.output<(typeof OPTIONS)[K]["schema"]> } & {
  readonly zipkinEndpoint: string | undefined;
};

const DEFAULT_COLLECTOR = "http://localhost:9411";

export interface Setting {
  readonly value: string;
  /** How the user gave it: `--port` or `VITRINE_PORT`. */
  readonly source: string;
}

export function settingOf(option: OptionRow, flag: string | undefined, env: NodeJS.ProcessEnv): Setting | undefined {
  if (flag !== undefined) return { value: flag, source: `--${option.flag}` };
  for (const name of option.env) {
    // An empty variable is how shells and compose files leave one unset.
    const given = env[name];
    if (given === undefined || given === "") continue;
    const translate = TRANSLATIONS[name];
    const value = translate === undefined ? given : translate(given, env);
    if (value !== undefined) return { value, source: name };
  }
  return option.fallback === undefined ? undefined : { value: option.fallback, source: "default" };
}

export function check(option: OptionRow, setting: Setting): unknown {
  const result = option.schema.safeParse(setting.value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  const given = option.flag === undefined || option.secret ? "" : `, got ${JSON.stringify(setting.value)}`;
  throw new VitrineError("config_invalid", `${setting.source}: ${issue?.message ?? "invalid"}${given}.`, {
    param: setting.source,
  });
}

/** `ENABLE_ZIPKIN_TRACING`: true alone means the default collector; false silences endpoints from the environment. */
function tracingSwitch(env: NodeJS.ProcessEnv): boolean | undefined {
  const value = env.ENABLE_ZIPKIN_TRACING;
  if (value === undefined || value === "") return undefined;
  const enabled = readSwitch(value);
  if (enabled !== undefined) return enabled;
  throw new VitrineError(
    "config_invalid",
    `ENABLE_ZIPKIN_TRACING: expected true or false, got ${JSON.stringify(value)}.`,
    {
      param: "ENABLE_ZIPKIN_TRACING",
    },
  );
}

type Flags = Partial<Record<OptionName, string>>;

/** `flags` maps option names to what the command line gave. Throws VitrineError `config_invalid` naming the setting. */
export function loadConfig(flags: Flags, env: NodeJS.ProcessEnv): Config {
  // The environment's devices are not for who asks for one here.
  const one = flags.device !== undefined && flags.devices === undefined;
  const config = loadSome(Object.keys(OPTIONS) as OptionName[], flags, env);
  return one ? Object.freeze({ ...config, devices: undefined }) : config;
}

/** The same of some options, without a look at what the others are set to: those of a program that is not ours are its own. */
export function loadSome<N extends OptionName>(
  names: readonly N[],
  flags: Flags,
  env: NodeJS.ProcessEnv,
): Pick<Config, N> {
  const values: Record<string, unknown> = {};
  for (const name of names) {
    const setting = settingOf(OPTIONS[name], flags[name], env);
    values[name] = setting === undefined ? undefined : check(OPTIONS[name], setting);
  }
  const enabled = tracingSwitch(env);
  if (enabled === false && flags.zipkinEndpoint === undefined) values.zipkinEndpoint = undefined;
  else if (enabled === true) values.zipkinEndpoint ??= zipkinUrl.parse(DEFAULT_COLLECTOR);
  return Object.freeze(values) as Pick<Config, N>;
}

/** `VITRINE_…` variables that no option reads: most likely a misspelling. */
export function unknownVariables(env: NodeJS.ProcessEnv): string[] {
  const known = new Set<string>(Object.values(OPTIONS).flatMap((option) => option.env));
  return Object.keys(env).filter((name) => name.startsWith("VITRINE_") && !known.has(name));
}
