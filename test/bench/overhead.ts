/** What the service costs a token when its model costs nothing, and what it does with more requests than it can take. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { Agent, request } from "node:http";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { type BenchValue, median } from "./report.js";

const SERVICE = fileURLToPath(new URL("./free-service.js", import.meta.url));
const STREAMS = 64;
const TOKENS = 400;
const ROUNDS = 6;
/** Linux counts a process's time in hundredths of a second. */
const TICK_MS = 10;

interface FreeService {
  readonly child: ChildProcess;
  readonly address: string;
}

async function start(options: Readonly<Record<string, string>>): Promise<FreeService> {
  const child = spawn(process.execPath, [SERVICE, JSON.stringify(options)], { stdio: ["pipe", "pipe", "inherit"] });
  const [address] = (await once(createInterface({ input: child.stdout as Readable }), "line")) as [string];
  return { child, address };
}

async function stop({ child }: FreeService): Promise<void> {
  child.stdin?.end();
  await once(child, "exit");
}

/** Microseconds a token: of the wall clock, with the client on the same cores, and of the service's own processes. */
export async function overhead(): Promise<BenchValue[]> {
  const service = await start({ maxSequences: String(STREAMS), maxQueue: "64" });
  const agent = new Agent({ keepAlive: true, maxSockets: STREAMS });
  const [wall, own, engine]: [number[], number[], number[]] = [[], [], []];
  const pids = [service.child.pid as number, childOf(service.child.pid as number)] as const;
  for (let round = 0; round <= ROUNDS; round++) {
    const before = pids.map(cpuMs);
    const began = performance.now();
    await Promise.all(Array.from({ length: STREAMS }, () => complete(service.address, agent, TOKENS)));
    const micros = (ms: number): number => (ms * 1000) / (STREAMS * TOKENS);
    if (round === 0) continue;
    wall.push(micros(performance.now() - began));
    own.push(micros(cpuMs(pids[0]) - (before[0] as number)));
    engine.push(micros(cpuMs(pids[1]) - (before[1] as number)));
  }
  agent.destroy();
  await stop(service);
  const name = `overhead, ${STREAMS} streams`;
  return [
    { name: `${name}, wall clock`, value: median(wall), unit: "us/token" },
    { name: `${name}, server's processor time`, value: median(own), unit: "us/token" },
    { name: `${name}, engine's processor time`, value: median(engine), unit: "us/token" },
  ];
}

/** A thousand requests at once to a service that takes half of them. */
export async function crowd(): Promise<BenchValue[]> {
  const service = await start({ maxSequences: "16", maxQueue: "484" });
  const agent = new Agent({ keepAlive: false });
  const ends = new Map<string, number>();
  await Promise.all(
    Array.from({ length: 1000 }, async () => {
      const end = await complete(service.address, agent, 200).catch((error: Error) => error.message);
      ends.set(end, (ends.get(end) ?? 0) + 1);
    }),
  );
  await stop(service);
  return [...ends].map(([end, value]) => ({
    name: `crowd of 1,000 where 500 have room: ${end}`,
    value,
    unit: "requests",
  }));
}

/** A streamed completion to its end. Resolves with how it ended: complete, or the status of a refusal. */
function complete(address: string, agent: Agent, tokens: number): Promise<string> {
  const body = {
    model: "tiny",
    prompt: "Once upon a time",
    max_tokens: tokens,
    temperature: 0,
    stream: true,
    ignore_eos: true,
  };
  return new Promise((resolve, reject) => {
    const headers = { "content-type": "application/json" };
    const sent = request(`${address}/v1/completions`, { method: "POST", agent, headers }, (response) => {
      let end = "";
      response.on("data", (chunk: Buffer) => {
        end = (end + chunk.toString("latin1", Math.max(0, chunk.length - 32))).slice(-32);
      });
      response.on("end", () => resolve(end.includes("[DONE]") ? "completed" : `refused with ${response.statusCode}`));
      response.on("error", reject);
    });
    sent.on("error", reject);
    sent.setTimeout(60_000, () => sent.destroy(new Error("hung")));
    sent.end(JSON.stringify(body));
  });
}

function childOf(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ")[0]);
}

/** User and system time of a process, in milliseconds. */
function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}
