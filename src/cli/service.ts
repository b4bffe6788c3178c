/** Puts the parts together: engine process, tokenizer, tracing and HTTP server of one configuration. */
import { isIPv4 } from "node:net";
import type { Logger } from "pino";
import type { Config } from "../config.js";
import { destinationsOf } from "../destinations.js";
import type { EngineClient, EngineLoad } from "../engine/client/client.js";
import { VitrineError } from "../errors.js";
import { type DeviceRequest, type LoadPhase, monotonicMicros } from "../protocol.js";
import { readSamplingDefaults } from "../runtime/files/generation-config.js";
import type { ModelDirectory } from "../runtime/files/model-directory.js";
import { loadChatTemplate } from "../runtime/text/chat-template.js";
import { loadTokenizer } from "../runtime/text/tokenizer.js";
import { TokenizerThread } from "../runtime/text/tokenizer-thread.js";
import { type Admin, createAdmin } from "../server/admin.js";
import { createIdentityHasher } from "../server/caller.js";
import type { ServerOptions } from "../server/options.js";
import { createServer, type VitrineServer } from "../server/server.js";
import { createTracing, type Tracing } from "../tracing/tracing.js";
import { devicesOf } from "./engines.js";
import { defaultPolicy, readPolicy, reloadAtHangup, tailPolicy } from "./sampling.js";
import { VERSION } from "./version.js";

/** What closing connections and flushing spans may take beyond the drain itself. */
const FLUSH_TIMEOUT_MS = 5_000;

export interface Service {
  readonly modelId: string;
  /** `http://host:port` the server listens on. */
  readonly address: string;
  readonly engine: EngineClient;
  readonly tracing: Tracing;
  /** Settles once every engine has loaded for the first time; rejects with the VitrineError of one that could not. */
  readonly ready: Promise<void>;
  /** While stopping: waits no longer for running requests, and cancels them. */
  cancelRunning(): void;
  /** Drains for at most `timeoutMs`, then closes everything. Safe to call twice. */
  stop(timeoutMs: number): Promise<void>;
}

function createTracingFor(config: Config, logger: Logger, model: string): Tracing {
  const policy = readPolicy(config);
  return createTracing({
    serviceName: config.serviceName,
    destinations: destinationsOf(config),
    propagation: config.propagation,
    sampleRate: policy.rate,
    ...(policy.limit === null ? {} : { sampleLimit: policy.limit }),
    samplingRules: policy.rules,
    tail: tailPolicy(config),
    model,
    ...(config.pricePerDeviceHour === undefined ? {} : { pricePerDeviceHour: config.pricePerDeviceHour }),
    storeTraces: config.traceStore === "on",
    localEndpoint: isIPv4(config.host) ? { ipv4: config.host } : {},
    gpuDeviceIds: [...new Set(devicesOf(config).flatMap(gpuIndex))],
    log: (level, message) => logger[level](message),
  });
}

/** Where sampling is read and changed at run time, if asked for. */
async function startAdmin(config: Config, tracing: Tracing, logger: Logger): Promise<Admin | undefined> {
  if (config.adminPort === undefined) return undefined;
  const admin = createAdmin({
    tracing,
    defaults: defaultPolicy(config),
    changed: ({ rate, limit, rules }) => logger.info({ rate, limit, rules: rules.length }, "sampling changed"),
  });
  logger.info({ url: await admin.listen(config.adminPort) }, "admin endpoint listens");
  return admin;
}

/** `cuda` and `auto` take the first GPU. */
const gpuIndex = (device: DeviceRequest): number[] =>
  device === "cpu" ? [] : [device.startsWith("cuda:") ? Number(device.slice(5)) : 0];

/** Records every engine start as a trace; the first one holds the tokenizer's loading, too. */
function traceLoads(engine: EngineClient, tracing: Tracing, modelId: string, tokenizer: LoadPhase): Promise<void> {
  let told = false;
  return new Promise((resolve, reject) => {
    engine.onLoad((load: EngineLoad) => {
      const phases = told ? load.load.phases : [tokenizer, ...load.load.phases];
      told = true;
      const start = Math.min(load.load.start, ...phases.map((phase) => phase.start));
      const end = Math.max(load.load.end, ...phases.map((phase) => phase.end));
      const { device: requested, result, restarts } = load;
      tracing.recordLoad({
        load: { start, end, phases },
        restarts,
        requested,
        ...(result.kind === "ready"
          ? { model: result.model, device: result.device }
          : { model: { name: modelId }, error: result.error }),
      });
      if (result.kind === "failed" && restarts === 0) reject(VitrineError.fromWire(result.error));
      else if (engine.engines.every(({ state }) => state.kind !== "starting")) resolve();
    });
  });
}

export interface EngineParts {
  readonly directory: ModelDirectory;
  /** Started; it may still be loading the model. */
  readonly engine: EngineClient;
}

type ServerParts = EngineParts &
  Pick<ServerOptions, "tokenizer" | "chatTemplate" | "longInputs" | "tracing" | "logger">;

function createServerFor(config: Config, { directory, engine, ...parts }: ServerParts): VitrineServer {
  return createServer({
    engine,
    ...parts,
    samplingDefaults: readSamplingDefaults(directory.path),
    modelId: directory.name,
    version: VERSION,
    limits: {
      maxInFlight: config.maxSequences * engine.engines.length + config.maxQueue,
      maxPerKey: config.maxPerKey,
      requestTimeoutMs: config.requestTimeout,
    },
    prefixSalt: config.prefixSalt,
    recordSteps: config.traceDetail === "step",
    hashIdentity: createIdentityHasher(config.userHashKey, config.userHashKeyPrevious),
  });
}

/** Starts everything around the engine; the server listens before the model is loaded, so that probes get answers. */
export async function startService(
  config: Config,
  logger: Logger,
  { directory, engine }: EngineParts,
): Promise<Service> {
  const { path: modelDir, name: modelId } = directory;
  const tracing = createTracingFor(config, logger, modelId);
  const forgetHangup = reloadAtHangup(config, tracing, logger);
  const longInputs = new TokenizerThread(modelDir);
  let server: VitrineServer | undefined;
  let admin: Admin | undefined;
  let stopped: Promise<void> | undefined;
  const close = async (timeoutMs: number): Promise<void> => {
    forgetHangup();
    await admin?.close();
    await server?.drain(timeoutMs);
    await longInputs.close();
    // Whatever outlasted the drain was cancelled by it.
    await engine.shutdown(0);
    await server?.close();
    await tracing.shutdown(FLUSH_TIMEOUT_MS);
  };
  const stop = (timeoutMs: number): Promise<void> => {
    stopped ??= close(timeoutMs);
    return stopped;
  };
  try {
    const start = monotonicMicros();
    const tokenizer = await loadTokenizer(modelDir);
    const chatTemplate = loadChatTemplate(modelDir);
    const ready = traceLoads(engine, tracing, modelId, { name: "tokenizer.load", start, end: monotonicMicros() });
    // Whoever awaits `ready` gets the rejection; until then it must not count as unhandled.
    ready.catch(() => undefined);
    server = createServerFor(config, { directory, engine, tokenizer, chatTemplate, longInputs, tracing, logger });
    if (config.traceDetail === "step") engine.onStep((step, run) => tracing.recordStep(step, run));
    const address = await server.listen(config.host, config.port);
    tracing.listening(Number(new URL(address).port || 80));
    admin = await startAdmin(config, tracing, logger);
    const running = server;
    const cancelRunning = (): void => void running.drain(0);
    return { modelId, address, engine, tracing, ready, cancelRunning, stop };
  } catch (error) {
    await stop(0);
    throw error;
  }
}
