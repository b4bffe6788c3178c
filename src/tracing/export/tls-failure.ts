/** Codes of OpenSSL's certificate checks, as Node passes them on: the collector's certificate is not trusted. */
const UNTRUSTED = /^(CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|INVALID_CA|HOSTNAME_MISMATCH|ERR_TLS_CERT_ALTNAME)/;
const ALERT = /^ERR_SSL_.*ALERT_(.+)$/;
/** How the end of a connection looks when the other side hangs up after the handshake. */
const HUNG_UP: ReadonlySet<string | undefined> = new Set(["ECONNRESET", "EPIPE"]);

/**
 * Why TLS is at fault for a failed request, as one clause; undefined where it is not known to be.
 * @param expires when the client certificate expires @param now both in milliseconds since the epoch
 */
export function tlsFailure(error: NodeJS.ErrnoException, expires: number | undefined, now: number): string | undefined {
  const { code = "" } = error;
  const expired = expires !== undefined && expires <= now;
  const own = expired ? `; the client certificate expired on ${new Date(expires).toISOString()}` : "";
  const alert = ALERT.exec(code)?.[1];
  if (alert !== undefined) return `the collector refused TLS: ${alert.toLowerCase().replaceAll("_", " ")}${own}`;
  if (UNTRUSTED.test(code)) return `the collector's certificate is not trusted: ${code}`;
  if (code.startsWith("ERR_SSL_") || code.startsWith("ERR_TLS_")) return `TLS failed: ${code}${own}`;
  return expired && HUNG_UP.has(code) ? `the collector hung up: ${code}${own}` : undefined;
}
