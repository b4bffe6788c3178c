/**
 * A tokenizer's thread that does what its input says: `block FILE` keeps the thread busy until the file is there, as a
 * long text does; `exit` and `throw` end it; anything else is a token a character.
 */
import { existsSync, writeFileSync } from "node:fs";
import { parentPort } from "node:worker_threads";
import type { EncodeJob } from "../../src/runtime/text/tokenizer-worker.js";

const waker = new Int32Array(new SharedArrayBuffer(4));

parentPort?.on("message", ({ input }: EncodeJob) => {
  const text = input.kind === "text" ? input.text : input.messages.map(({ content }) => content).join("");
  const [command, file = ""] = text.trim().split(" ");
  if (command === "exit") process.exit(3);
  if (command === "throw") throw new Error("zebra-prompt");
  if (command === "block") {
    writeFileSync(`${file}.started`, "");
    while (!existsSync(file)) Atomics.wait(waker, 0, 0, 2);
  }
  parentPort?.postMessage({ kind: "ids", ids: Int32Array.from({ length: text.trim().length }, () => 65) });
});
