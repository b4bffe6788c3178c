import { Command, CommanderError } from "commander";
import { type AbChoice, commandOf, type ServerSetting } from "../bench/ab/variants.js";
import { VitrineError } from "../errors.js";
import { addOptions, configOf, normalizeArguments } from "./arguments.js";

/**
 * Finds out whether `vitrine serve` will take the flags of both servers, before either is started.
 * @throws VitrineError `config_invalid` naming whose flag it is and what is wrong with it
 */
export function checkVariants(choice: AbChoice, setting: ServerSetting): void {
  // Those of both first: what is wrong with them is no variant's fault.
  checkServerFlags("both servers", setting.flags, setting.env);
  for (const value of [choice.base, choice.variant]) {
    const { flags, env } = commandOf(choice.flag, value, setting);
    checkServerFlags(`--ab ${choice.flag}=${value}`, flags, env);
  }
}

function checkServerFlags(source: string, flags: readonly string[], env: NodeJS.ProcessEnv): void {
  const serve = addOptions(new Command("serve"))
    .helpOption(false)
    .exitOverride()
    .configureOutput({ writeErr: () => {} });
  try {
    serve.parse(normalizeArguments(flags), { from: "user" });
    configOf(serve.opts(), env);
  } catch (error) {
    throw new VitrineError("config_invalid", `${source}: ${whatIsWrong(error)}`, { param: "--ab", cause: error });
  }
}

function whatIsWrong(error: unknown): string {
  if (error instanceof VitrineError) return error.message;
  if (!(error instanceof CommanderError)) throw error;
  return `${error.message.replace(/^error: /, "")} (vitrine serve --help lists what there is).`;
}
