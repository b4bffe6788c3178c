import { VitrineError } from "../errors.js";

/** Where something of this process listens. */
export interface Listener {
  /** The option that names the port. */
  readonly flag: "--port" | "--admin-port";
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
}

/** The admin endpoint is for whoever has a shell on this machine. */
export const ADMIN_HOST = "127.0.0.1";

/** What kept a listener from listening, and how to mend it. */
export function listenError(thrown: unknown, { flag, host, port }: Listener): VitrineError {
  const code = thrown instanceof Error && "code" in thrown ? thrown.code : undefined;
  const cause = { cause: thrown };
  switch (code) {
    case "EADDRINUSE":
      return new VitrineError(
        "port_unavailable",
        `Port ${port} on ${host} is taken: stop what listens there, or choose another with ${flag} (0 takes a free one).`,
        cause,
      );
    case "EACCES":
      return new VitrineError(
        "port_unavailable",
        `Port ${port} may not be opened by this user: use ${flag} 1024 or above.`,
        cause,
      );
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
      return new VitrineError(
        "port_unavailable",
        `${host} is not an address of this machine: use --host 127.0.0.1 or 0.0.0.0.`,
        cause,
      );
    default:
      return VitrineError.from(thrown, "port_unavailable");
  }
}
