/** Loaded by mocha before any test file. */
import fc from "fast-check";
import { endIfHeldOpen } from "./held-open.js";
import { stopSharedZipkin } from "./zipkin-server.js";

// Has to be in the environment before onnxruntime-node loads, in this process and in the children it starts.
process.env.ORT_DISABLE_TELEMETRY = "1";

// What the developer's shell configures must not change what is tested.
for (const name of Object.keys(process.env)) {
  if (/^(VITRINE_|OTEL_|ZIPKIN_|ENABLE_ZIPKIN)/.test(name)) delete process.env[name];
}
process.env.LOG_LEVEL = "silent";

// Mocha forwards rejections that nobody handled to the process, where they would go unseen: make them failures.
process.on("unhandledRejection", (reason) => {
  throw reason instanceof Error ? reason : new Error(`unhandled rejection: ${String(reason)}`);
});

// The same cases in every run, so that no change fails for what it did not touch; FC_SEED tries others.
fc.configureGlobal({ seed: Number(process.env.FC_SEED ?? 1) });

/** Far above what connections that are kept alive take to be given up. */
const HELD_OPEN_MS = 20_000;

export const mochaHooks = {
  async afterAll(): Promise<void> {
    await stopSharedZipkin();
    endIfHeldOpen(HELD_OPEN_MS);
  },
};
