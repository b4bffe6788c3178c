import { createServer } from "node:net";
import { type Finding, ok, problem } from "./finding.js";

export interface PortQuestion {
  /** The option that names it. */
  readonly option: "--port" | "--admin-port";
  readonly host: string;
  readonly port: number;
}

export interface PortWorld {
  /** Undefined where it could listen, else the error's code. */
  tryListen(host: string, port: number): Promise<string | undefined>;
  /** Who listens there, in words, where this user may know. */
  holder(port: number): string | undefined;
}

export async function checkPort({ option, host, port }: PortQuestion, world: PortWorld): Promise<Finding> {
  const address = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  const code = await world.tryListen(host, port);
  if (code === undefined) return ok(port === 0 ? `${option} 0 takes a free port of ${host}` : `${address} is free`);
  if (code === "EADDRINUSE") {
    const holder = world.holder(port);
    return problem(
      `${address} is taken${holder === undefined ? "" : ` by ${holder}`}`,
      `End it, or give another ${option}.`,
    );
  }
  if (code === "EACCES")
    return problem(`${address} is not for this user`, `Give a ${option} above 1023, or the right to bind it.`);
  if (code === "EADDRNOTAVAIL" || code === "ENOTFOUND") {
    return problem(
      `this machine has no address ${host}`,
      "Give --host an address of this machine, such as 127.0.0.1 or 0.0.0.0.",
    );
  }
  return problem(`${address} cannot be listened on (${code})`, `Give another --host or ${option}.`);
}

export function tryListen(host: string, port: number): Promise<string | undefined> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once("error", ({ code }: NodeJS.ErrnoException) => resolve(code ?? "unknown"));
    server.listen(port, host, () => server.close(() => resolve(undefined)));
  });
}
