import { after, before } from "mocha";
import { Certificates, OPENSSL, type Pair } from "./certificates.js";
import { requirePart } from "./requirements.js";
import { TlsCollector } from "./tls-collector.js";

/** Who meets in a suite about mutual TLS. */
export interface MutualTls {
  readonly certificates: Certificates;
  readonly authority: Pair;
  /** An authority that nobody trusts. */
  readonly stranger: Pair;
  readonly server: Pair;
  readonly client: Pair;
  /** Has the server's certificate, and asks for one of the authority's. */
  readonly collector: TlsCollector;
}

/** Makes them before the suite that calls it, which is left out where there is no openssl, and removes them after it. */
export function mutualTls(): MutualTls {
  const made: { -readonly [Part in keyof MutualTls]?: MutualTls[Part] } = {};
  before(async function () {
    requirePart(this, OPENSSL);
    const certificates = new Certificates();
    made.certificates = certificates;
    made.authority = certificates.authority("authority");
    made.stranger = certificates.authority("stranger");
    made.server = certificates.issue(made.authority, "server");
    made.client = certificates.issue(made.authority, "client");
    made.collector = await TlsCollector.start(made.server, made.authority);
  });
  after(async () => {
    await made.collector?.stop();
    made.certificates?.remove();
  });
  return made as MutualTls;
}
