/** The two servers of an A/B run: alike but for one flag. */
import { ServerProcess } from "./server-process.js";

export interface AbChoice {
  /** A flag of the server's, or `tracing`. */
  readonly flag: string;
  readonly base: string;
  readonly variant: string;
}

export interface ServerSetting {
  readonly entry: string;
  /** Flags of both. */
  readonly flags: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  /** Where a traced one sends its spans. */
  readonly zipkinEndpoint?: string;
}

/** Variables by which the environment would switch tracing on in a server that is to have none. */
const ENDPOINTS =
  /^(VITRINE_ZIPKIN_ENDPOINT|ZIPKIN_ENDPOINT|OTEL_EXPORTER_(ZIPKIN|OTLP)(_TRACES)?_ENDPOINT|VITRINE_OTLP_ENDPOINT)$/;

/** What is started for `flag=value`. `tracing=off` has neither collector nor store; `tracing=on` has what the server has by itself. */
export function commandOf(flag: string, value: string, setting: ServerSetting) {
  const { entry, flags, zipkinEndpoint } = setting;
  const collector = zipkinEndpoint === undefined ? [] : ["--zipkin-endpoint", zipkinEndpoint];
  if (flag !== "tracing") {
    // A switch is given or it is not.
    const own = flag.startsWith("no-") ? (value === "on" ? [`--${flag}`] : []) : [`--${flag}`, value];
    return { entry, flags: [...flags, ...collector, ...own], env: setting.env };
  }
  const env = Object.fromEntries(Object.entries(setting.env).filter(([name]) => !ENDPOINTS.test(name)));
  if (value !== "off") return { entry, flags: [...flags, ...collector], env: setting.env };
  return { entry, flags: [...flags, "--trace-store", "off"], env: { ...env, ENABLE_ZIPKIN_TRACING: "false" } };
}

export interface RunningVariants {
  readonly variants: readonly { readonly name: string; readonly address: string }[];
  stop(): Promise<void>;
}

/** Starts both, one after the other. Where the second fails, the first is stopped. */
export async function startVariants(
  choice: AbChoice,
  setting: ServerSetting,
  signal: AbortSignal,
): Promise<RunningVariants> {
  const servers: ServerProcess[] = [];
  const stop = async (): Promise<void> => void (await Promise.all(servers.map((server) => server.stop())));
  const values = [choice.base, choice.variant];
  try {
    for (const value of values) servers.push(await ServerProcess.start(commandOf(choice.flag, value, setting), signal));
  } catch (error) {
    await stop();
    throw error;
  }
  const variants = servers.map(({ address }, index) => ({ name: `${choice.flag}=${values[index]}`, address }));
  return { variants, stop };
}
