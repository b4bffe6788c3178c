import { type ChildProcess, spawn } from "node:child_process";
import type { Pair } from "./certificates.js";
import { freePort } from "./free-port.js";

/** OpenSSL's own server, which sends the alert that says what is wrong with a certificate. */
export class StrictServer {
  private constructor(
    private readonly child: ChildProcess,
    readonly url: string,
  ) {}

  static async start(server: Pair, authority: Pair): Promise<StrictServer> {
    const port = await freePort();
    const tls = ["-cert", server.cert, "-key", server.key, "-CAfile", authority.cert];
    const verify = ["-Verify", "2", "-verify_return_error"];
    const child = spawn("openssl", ["s_server", "-accept", String(port), ...tls, ...verify, "-www"], {
      stdio: ["ignore", "pipe", "ignore"],
    });
    await new Promise<void>((resolve, reject) => {
      child.once("error", reject);
      child.stdout?.on("data", (text: Buffer) => {
        if (text.includes("ACCEPT")) resolve();
      });
    });
    return new StrictServer(child, `https://localhost:${port}`);
  }

  stop(): void {
    this.child.kill("SIGKILL");
  }
}
