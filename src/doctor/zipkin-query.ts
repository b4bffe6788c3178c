import * as http from "node:http";
import * as https from "node:https";
import type { Destination } from "../tracing/export/destination.js";
import { readTlsFiles } from "../tracing/export/tls-files.js";

const TIMEOUT_MS = 2_000;

/** The status with which a Zipkin answers to a trace id, asked as spans are sent: same headers, same certificates. */
export function askForTrace(destination: Destination, traceId: string): Promise<number | undefined> {
  const url = new URL(destination.endpoint);
  url.pathname = `${url.pathname.replace(/\/spans\/?$/, "")}/trace/${traceId}`;
  const tls =
    destination.kind === "zipkin" && destination.tls !== undefined ? readTlsFiles(destination.tls) : undefined;
  const options = {
    headers: { ...destination.headers, b3: "0" },
    signal: AbortSignal.timeout(TIMEOUT_MS),
    ...(tls === undefined ? {} : { secureContext: tls.context }),
  };
  return new Promise((resolve) => {
    const request = (url.protocol === "https:" ? https : http).get(url, options, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    request.on("error", () => resolve(undefined));
  });
}
