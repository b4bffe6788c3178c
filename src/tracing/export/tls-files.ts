import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { createSecureContext, type SecureContext } from "node:tls";
import { fileProblem, VitrineError } from "../../errors.js";
import { OncePerMinute } from "../once-per-minute.js";

/** Paths of PEM files; a certificate and its key come together. */
export interface TlsFiles {
  /** Authorities that the collector's certificate is checked against, instead of the system's. */
  readonly ca?: string;
  /** Certificate this service shows, with the intermediate ones after it. */
  readonly cert?: string;
  readonly key?: string;
}

export interface TlsIdentity {
  readonly context: SecureContext;
  /** Milliseconds since the epoch when the client certificate stops being valid; absent without one. */
  readonly expires?: number;
}

/** Reads and checks the files. Throws VitrineError `config_invalid` naming the option, the file and what is wrong. */
export function readTlsFiles(files: TlsFiles, now: number = Date.now()): TlsIdentity {
  if (files.cert === undefined && files.key !== undefined) throw wrong("key", "needs --zipkin-cert with it");
  if (files.cert !== undefined && files.key === undefined) throw wrong("cert", "needs --zipkin-key with it");
  const ca = files.ca === undefined ? undefined : read("ca", files.ca);
  if (ca !== undefined) certificate("ca", files.ca ?? "", ca);
  const client = files.cert === undefined || files.key === undefined ? undefined : clientOf(files.cert, files.key, now);
  try {
    const context = createSecureContext({
      ...(ca === undefined ? {} : { ca }),
      ...(client === undefined ? {} : { cert: client.cert, key: client.key }),
    });
    return { context, ...(client === undefined ? {} : { expires: client.expires }) };
  } catch (error) {
    throw wrong(client === undefined ? "ca" : "cert", `is not usable for TLS (${codeOf(error)})`);
  }
}

function clientOf(certFile: string, keyFile: string, now: number) {
  const cert = read("cert", certFile);
  const key = read("key", keyFile);
  const first = certificate("cert", certFile, cert);
  if (!first.checkPrivateKey(privateKey(keyFile, key)))
    throw wrong("key", `${keyFile} is not the key of the certificate in ${certFile}`);
  const [from, expires] = [Date.parse(first.validFrom), Date.parse(first.validTo)];
  if (expires <= now) throw wrong("cert", `${certFile} expired on ${new Date(expires).toISOString()}; renew it`);
  if (from > now) throw wrong("cert", `${certFile} is not valid before ${new Date(from).toISOString()}`);
  return { cert, key, expires };
}

function read(option: keyof TlsFiles, file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw wrong(option, `${file} cannot be read, ${fileProblem(error)}`);
  }
}

function certificate(option: keyof TlsFiles, file: string, pem: Buffer): X509Certificate {
  try {
    if (pem.includes("-----BEGIN ")) return new X509Certificate(pem);
  } catch {
    // Told below.
  }
  throw wrong(option, `${file} holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)`);
}

function privateKey(file: string, pem: Buffer) {
  try {
    return createPrivateKey(pem);
  } catch (error) {
    const encrypted = codeOf(error) === "ERR_MISSING_PASSPHRASE";
    throw wrong("key", `${file} ${encrypted ? "is encrypted; decrypt it" : "holds no private key in PEM form"}`);
  }
}

function wrong(option: keyof TlsFiles, what: string): VitrineError {
  const param = `--zipkin-${option}`;
  return new VitrineError("config_invalid", `${param}: ${what}.`, { param });
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? "no code";
}

type Log = (level: "info" | "warn" | "error", message: string) => void;

/** The files as they are now. While what is there cannot be used (half of it is written), what was there before serves. */
export class TlsFileReader {
  #identity: TlsIdentity | undefined;
  #stamp: string | undefined;
  readonly #minute = new OncePerMinute();

  constructor(
    private readonly files: TlsFiles,
    private readonly log: Log,
  ) {}

  /** The same object until the files change. Throws only where they never were usable. */
  current(): TlsIdentity {
    // Before reading: what changes meanwhile is seen the next time.
    const stamp = this.#stat();
    if (this.#identity !== undefined && stamp === this.#stamp) return this.#identity;
    try {
      const next = readTlsFiles(this.files);
      if (this.#identity !== undefined) this.log("info", "The TLS files of the collector changed and are used now.");
      this.#identity = next;
      this.#stamp = stamp;
    } catch (error) {
      if (this.#identity === undefined) throw error;
      if (this.#minute.take(performance.now())) this.log("warn", `${(error as Error).message} The old files serve on.`);
    }
    return this.#identity;
  }

  #stat(): string {
    return stampsOf([this.files.ca, this.files.cert, this.files.key]);
  }
}

/** Differs from what it was when any of the files did. */
export function stampsOf(files: readonly (string | undefined)[]): string {
  return files.map(stampOf).join();
}

function stampOf(file: string | undefined): string {
  if (file === undefined) return "";
  const stat = statSync(file, { bigint: true, throwIfNoEntry: false });
  return stat === undefined ? "gone" : `${stat.ino} ${stat.size} ${stat.mtimeNs}`;
}
