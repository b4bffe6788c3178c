/** An engine process over the fake runner, for tests that fork a real child. `modelDir` chooses how it behaves. */
import { serveEngine } from "../../src/engine/process.js";
import { VitrineError } from "../../src/errors.js";
import { FakeRunner } from "./fake-runner.js";

const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 2));

serveEngine(async (options, clock, onPhase) => {
  const start = clock();
  onPhase("session.create");
  process.stderr.write("fixture: loading\nfixture: ");
  process.stderr.write(`pid ${process.pid}, telemetry ${process.env.ORT_DISABLE_TELEMETRY}\n`);
  switch (options.modelDir) {
    case "missing":
      throw new VitrineError("model_missing", "There is no model in this directory.");
    case "crashing":
      setImmediate(() => {
        throw new Error("a bug");
      });
      return new Promise(() => {});
    case "stuck":
      // As within a native call: no event of the process is heard.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
      break;
    case "native":
      if (options.nativeFailure === undefined) process.kill(process.pid, "SIGSEGV");
      break;
    case "hanging":
      return new Promise(() => {});
  }
  // A step takes a moment, so that a test can act between two of them.
  const lose = (): never => {
    throw new VitrineError("engine_lost", "The GPU is lost.");
  };
  const beforeRun = options.modelDir === "losing" ? lose : pause;
  const runner = new FakeRunner({ contextLength: 100_000, beforeRun });
  const device = { ...runner.device, reason: options.nativeFailure ?? "a test" };
  return { runner, device, phases: [{ name: "session.create", start, end: clock() }] };
});
