/**
 * What tracing costs a request, with the collector well, refusing, and hanging: the same load against one server each,
 * interleaved, compared with a server that does not trace at all. Then what a span costs the thread it ends on.
 * `--only requests` and `--only producer` measure one of them.
 */
import { createServer, type Server } from "node:http";
import { type AddressInfo, createServer as createTcpServer, type Server as TcpServer } from "node:net";
import { parseArgs } from "node:util";
import { type VitrineOptions, VitrineProcess } from "../support/vitrine-process.js";
import { type BenchRow, compare, interleave, report } from "./report.js";
import { producerCost } from "./tracing-producer.js";

const ROUNDS = 60;
const STREAMS = 8;
const TOKENS = 400;

async function listening(server: Server | TcpServer): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

async function refusingAddress(): Promise<string> {
  const server = createTcpServer();
  const address = await listening(server);
  await new Promise((resolve) => server.close(resolve));
  return address;
}

async function stream(address: string): Promise<void> {
  const response = await fetch(`${address}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      model: "tiny",
      prompt: "Once upon a time",
      max_tokens: TOKENS,
      temperature: 1,
      seed: 1,
      stream: true,
    }),
  });
  const text = await response.text();
  if (!response.ok || !text.includes("[DONE]")) throw new Error(`the server answered ${response.status}`);
}

async function round(address: string): Promise<number> {
  const start = performance.now();
  await Promise.all(Array.from({ length: STREAMS }, () => stream(address)));
  return performance.now() - start;
}

const well = createServer((request, response) => {
  request.resume().on("end", () => response.writeHead(202).end());
});
const hanging = createServer((request) => request.resume());
const endpoint = (address: string): VitrineOptions => ({
  flags: ["--zipkin-endpoint", address],
  env: { LOG_LEVEL: "silent" },
});
const settings: readonly (readonly [string, VitrineOptions])[] = [
  ["no tracing", { flags: ["--trace-store", "off"], env: { LOG_LEVEL: "silent" } }],
  ["store only", { env: { LOG_LEVEL: "silent" } }],
  ["collector well", endpoint(await listening(well))],
  ["collector refusing", endpoint(await refusingAddress())],
  ["collector hanging", endpoint(await listening(hanging))],
];

async function requestCost(): Promise<BenchRow[]> {
  const servers: { readonly name: string; readonly process: VitrineProcess }[] = [];
  try {
    for (const [name, options] of settings) servers.push({ name, process: await VitrineProcess.start(options) });
    const variants = servers.map(({ name, process }) => ({ name, round: () => round(process.url) }));
    const costs = await interleave(variants, ROUNDS);
    const [peer, ...traced] = servers.map(({ name }) => name);
    const rows = traced.map((name) => ({
      name: `${STREAMS} stories at once, ${name}`,
      against: peer ?? "",
      ...compare(costs.get(name) ?? [], costs.get(peer ?? "") ?? []),
      target: 0.98,
    }));
    return rows;
  } finally {
    await Promise.all(servers.map(({ process }) => process.stop()));
  }
}

const { only } = parseArgs({ options: { only: { type: "string" } }, strict: false }).values;
try {
  const requests = only === "producer" ? [] : await requestCost();
  const producer = only === "requests" ? { rows: [], values: [] } : await producerCost();
  report("npm run bench:tracing", [...requests, ...producer.rows], producer.values);
} finally {
  for (const server of [well, hanging]) server.close().closeAllConnections();
}
