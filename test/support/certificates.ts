/** Certificates for TLS tests, made by the `openssl` command when they are wanted: none is committed. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RequiredPart } from "./requirements.js";

const EC = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
const EXTENSIONS = "subjectAltName=IP:127.0.0.1,DNS:localhost\nbasicConstraints=critical,CA:FALSE\n";

export interface Pair {
  /** Paths. */
  readonly cert: string;
  readonly key: string;
}

export const OPENSSL: RequiredPart = {
  name: "the openssl command",
  available: spawnSync("openssl", ["version"]).status === 0,
  why: "it is not on the PATH",
  mandatoryInCi: true,
};

export class Certificates {
  readonly directory = mkdtempSync(join(tmpdir(), "vitrine-tls-"));

  path(name: string): string {
    return join(this.directory, name);
  }

  /** A certificate authority of its own. */
  authority(name: string): Pair {
    const pair = this.#pair(name);
    openssl("req", "-x509", ...EC, "-keyout", pair.key, "-out", pair.cert, "-subj", `/CN=${name}`, "-days", "2");
    return pair;
  }

  /** A certificate for this machine, signed by `authority`. @param days how long it is valid; -1 is expired */
  issue(authority: Pair, name: string, days = 2): Pair {
    const pair = this.#pair(name);
    const [request, extensions] = [this.path(`${name}.csr`), this.path(`${name}.ext`)];
    writeFileSync(extensions, EXTENSIONS);
    openssl("req", "-new", ...EC, "-keyout", pair.key, "-out", request, "-subj", `/CN=${name}`);
    const from = ["-in", request, "-CA", authority.cert, "-CAkey", authority.key, "-extfile", extensions];
    openssl("x509", "-req", ...from, "-CAcreateserial", "-days", String(days), "-out", pair.cert);
    return pair;
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }

  #pair(name: string): Pair {
    return { cert: this.path(`${name}.pem`), key: this.path(`${name}.key`) };
  }
}

function openssl(...args: string[]): void {
  const { status, stderr } = spawnSync("openssl", args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`openssl ${args.join(" ")}: ${stderr}`);
}
