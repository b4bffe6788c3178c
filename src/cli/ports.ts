import { createServer, type Server } from "node:net";
import type { Config } from "../config.js";
import { ADMIN_HOST, type Listener, listenError } from "../server/listening.js";

/**
 * Finds out whether every port can be had, before anything that takes long is begun; holds none of them.
 * @throws VitrineError `port_unavailable` naming the option
 */
export async function checkPorts({
  host,
  port,
  adminPort,
}: Pick<Config, "host" | "port" | "adminPort">): Promise<void> {
  const held: Server[] = [];
  try {
    held.push(await hold({ flag: "--port", host, port }));
    // With the other still held: they may be the same.
    if (adminPort !== undefined) held.push(await hold({ flag: "--admin-port", host: ADMIN_HOST, port: adminPort }));
  } finally {
    await Promise.all(held.map((server) => new Promise((resolve) => server.close(resolve))));
  }
}

function hold(listener: Listener): Promise<Server> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once("error", (error) => reject(listenError(error, listener)));
    server.listen(listener.port, listener.host, () => resolve(server));
  });
}
