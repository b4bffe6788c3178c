/**
 * `npm run images:check`: every step of both Dockerfiles, one after the other as a build runs them, in overlays of this
 * machine's file system, and at last the service from exactly the files that the image has. Says what it left out.
 */
import { once } from "node:events";
import { cpSync, existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { readDockerfile, type Stage, type Step } from "../support/dockerfile.js";
import { Overlay, type Place } from "./overlay.js";

/** Steps of another machine's: Debian's packages, the provider's feed, and what looks at the provider. */
const NOT_HERE = /apt-get|script\/install\.js|^readelf|^ldd/;
/** As .dockerignore has it. */
const IGNORED = /\.py$|__pycache__|models\/[^/]+\/build/;
const NODE = "/usr/local/bin/node";
const READY_MS = 30_000;

type Built = ReadonlyMap<string, Overlay>;

/** What the image's base would set, and what npm needs of this machine. */
function environment(stage: Stage, building: boolean): Record<string, string> {
  const path = `${dirname(process.execPath)}:/usr/local/bin:/usr/bin:/bin`;
  const npm = Object.entries(process.env).filter(([name]) => /^(npm_config_|https?_proxy$|NODE_EXTRA_CA)/i.test(name));
  const own = building ? { HOME: process.env.HOME ?? "/root", ...Object.fromEntries(npm) } : { HOME: "/" };
  return { PATH: path, ...(own as Record<string, string>), ...stage.env };
}

function build(stage: Stage, overlay: Overlay, built: Built): Place {
  let place: Place = { user: "0:0", workdir: "/", env: environment(stage, true) };
  for (const step of stage.steps) {
    if (step.kind === "workdir") {
      place = { ...place, workdir: step.path };
      mkdirSync(join(overlay.files, step.path), { recursive: true });
    } else if (step.kind === "user") {
      // Nothing is fetched from here on.
      place = { ...place, user: step.user, env: environment(stage, false), alone: true };
    } else if (step.kind === "copy") copy(step, overlay, place.workdir, built);
    else runStep(step, overlay, place);
  }
  return { ...place, env: environment(stage, false) };
}

function runStep({ command }: Extract<Step, { kind: "run" }>, overlay: Overlay, place: Place): void {
  const said = [command]
    .flat()
    .join(" ")
    .replaceAll(/\\\n\s*/g, "");
  if (NOT_HERE.test(said)) {
    console.log(`  not run: ${said}`);
    return;
  }
  console.log(`  RUN ${said}`);
  overlay.run(typeof command === "string" ? ["/bin/sh", "-c", command] : command, place);
}

function copy(step: Extract<Step, { kind: "copy" }>, overlay: Overlay, workdir: string, built: Built): void {
  const into = resolve(workdir, step.target);
  const many = step.sources.length > 1 || step.target.endsWith("/");
  for (const source of step.sources) {
    const from = step.from === undefined ? source : join(built.get(step.from)?.files ?? "", resolve("/", source));
    const target = join(overlay.files, many ? join(into, basename(source)) : targetOf(source, into, step.target));
    // What the stage did not write is its base's: here this machine's, which the target has already.
    if (step.from !== undefined && !existsSync(from) && source === NODE) {
      console.log(`  not copied: ${source}, of the base`);
      continue;
    }
    cpSync(from, target, { recursive: true, filter: (path) => step.from !== undefined || !IGNORED.test(path) });
  }
}

/** `COPY package.json ./` keeps the name; `COPY src src` gives one. */
const targetOf = (source: string, into: string, target: string): string =>
  target === "." || target === "./" ? join(into, basename(source)) : into;

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  server.close();
  return port;
}

/** Serves from the image's files, which it cannot change, answers a request, is found healthy by the image's own check, and drains. */
async function serve(stage: Stage, overlay: Overlay, place: Place): Promise<void> {
  const port = String(await freePort());
  const env = { ...place.env, VITRINE_PORT: port, VITRINE_HOST: "127.0.0.1", VITRINE_DEVICE: "cpu", LOG_LEVEL: "warn" };
  const inside: Place = { ...place, env, readOnly: true, alone: false };
  const service = overlay.start([...stage.entrypoint, ...stage.cmd], inside);
  const exited = once(service, "exit");
  try {
    await untilReady(`http://127.0.0.1:${port}/ready`);
    overlay.run(stage.healthcheck, inside);
    const response = await fetch(`http://127.0.0.1:${port}/v1/completions`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ model: "tiny", prompt: "Once upon a time", max_tokens: 8 }),
    });
    if (!response.ok) throw new Error(`A completion was answered with ${response.status}: ${await response.text()}`);
  } finally {
    service.kill("SIGTERM");
  }
  const [code] = (await exited) as [number | null];
  if (code !== 0) throw new Error(`The service ended with ${code} after SIGTERM.`);
}

async function untilReady(url: string): Promise<void> {
  for (const deadline = Date.now() + READY_MS; ; ) {
    const response = await fetch(url).catch(() => undefined);
    if (response?.ok) return;
    if (Date.now() > deadline) throw new Error(`${url} did not answer 200 within ${READY_MS / 1000} s`);
    await new Promise((again) => setTimeout(again, 100));
  }
}

async function check(file: string, folder: string): Promise<void> {
  const built = new Map<string, Overlay>();
  for (const [index, stage] of readDockerfile(file).entries()) {
    console.log(`${file}: ${stage.name ?? "the image"} (from ${stage.image}; here this machine's own files)`);
    const overlay = new Overlay(join(folder, String(index)));
    const why = overlay.unusable();
    if (why !== undefined) throw new Error(`Images cannot be checked: ${why}`);
    const place = build(stage, overlay, built);
    if (stage.name === undefined) await serve(stage, overlay, place);
    else built.set(stage.name, overlay);
  }
  console.log(`${file}: serves from its own files, healthy by its own check.\n`);
}

for (const file of ["Dockerfile", "Dockerfile.gpu"]) {
  const folder = mkdtempSync(join(tmpdir(), "vitrine-image-"));
  try {
    await check(file, folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
