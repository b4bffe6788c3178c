import { type Command, InvalidArgumentError, Option } from "commander";
import { type Config, loadConfig } from "../config.js";
import { OPTIONS, type OptionName, type OptionRow } from "../options.js";

/** Spellings that other tools' users type: underscores in flags, and `--model_path`. */
export function normalizeArguments(argv: readonly string[]): string[] {
  const end = argv.indexOf("--");
  return argv.map((argument, index) => {
    if (!argument.startsWith("--") || (end !== -1 && index >= end)) return argument;
    const [flag = "", ...value] = argument.split("=");
    const dashed = flag.replaceAll("_", "-");
    return [dashed === "--model-path" ? "--model" : dashed, ...value].join("=");
  });
}

/** Of options that are not of the table. */
export function wholeNumber(text: string): number {
  if (!/^[1-9]\d*$/.test(text)) throw new InvalidArgumentError("expected a whole number above 0");
  return Number(text);
}

const namesWithFlag = (Object.keys(OPTIONS) as OptionName[]).filter((name) => "flag" in OPTIONS[name]);

/** Adds a flag for each of `names` (all that have one, if absent) to a command. */
export function addOptions(command: Command, names: readonly OptionName[] = namesWithFlag): Command {
  for (const name of names) addRow(command, OPTIONS[name]);
  return command;
}

export function addRow(command: Command, row: OptionRow): void {
  const environment = row.env.length === 0 ? [] : [`env ${row.env.join(", ")}`];
  const notes = [...environment, ...(row.fallback === undefined ? [] : [`default ${row.fallback}`])].join("; ");
  const flag = row.value === "" ? `--${row.flag}` : `--${row.flag} <${row.value}>`;
  command.addOption(new Option(flag, notes === "" ? row.help : `${row.help} (${notes})`));
}

/** What a command's parsed flags say, by option. */
export function givenOptions(flags: Record<string, unknown>): Partial<Record<OptionName, string>> {
  const given = namesWithFlag.flatMap((name) => {
    // A switch is true until `--no-…` turns it off.
    const value = flags[name] === false ? "off" : flags[name];
    return typeof value === "string" ? [[name, value] as const] : [];
  });
  return Object.fromEntries(given);
}

/** The configuration that a command's parsed flags and the environment give. */
export function configOf(flags: Record<string, unknown>, env: NodeJS.ProcessEnv): Config {
  return loadConfig(givenOptions(flags), env);
}
