/** A parent of an engine process that prints the child's log lines and waits for its own end. */
import { createEngineClient } from "../../src/engine/client/client.js";
import { GREEDY } from "./engine-requests.js";

const client = createEngineClient({
  entry: new URL("./engine-fixture.js", import.meta.url),
  load: { modelDir: process.argv[2] ?? "", dtype: "auto", device: "cpu", threads: 1, maxSequences: 1 },
  onLog: (line) => process.stdout.write(`${line}\n`),
});
process.on("message", () => process.exit(0));
client.onState(({ kind }) => {
  if (kind !== "ready") return;
  const endless = { id: "endless", prompt: Int32Array.of(1), maxTokens: 90_000, stopTokenIds: [], sampling: GREEDY };
  client.submit({ ...endless, submittedAt: 0, recordSteps: false, priority: 0, cacheSalt: "" }, ({ type }) =>
    process.stdout.write(`${type}\n`),
  );
});
