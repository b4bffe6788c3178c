/** A benchmark, as far as its server knows: starts one, prints its address and waits to be killed. */
import { ServerProcess } from "../../src/bench/ab/server-process.js";

const entry = new URL("../../src/cli/bench-server.js", import.meta.url).pathname;
const flags = ["--model", "tiny", "--log-level", "error"];
const server = await ServerProcess.start({ entry, flags, env: process.env }, new AbortController().signal);
process.stdout.write(`${server.address}\n`);
