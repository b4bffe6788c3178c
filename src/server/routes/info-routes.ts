import type { FastifyInstance } from "fastify";
import type { EngineState, EngineStatus } from "../../engine/client/client.js";
import type { EngineStats, ModelDescription } from "../../protocol.js";
import type { ExportCounters } from "../../tracing/contract.js";
import type { ServerContext } from "../context.js";
import { errorBody, retryAfter } from "../error-response.js";
import { unknownModel } from "../request/prepare.js";
import { PAGE_POLICY, renderPage } from "./page.js";
import { addRoute } from "./routes.js";

/** Everything that reads and does not generate: models, health, readiness, metrics. */
export function addInfoRoutes(app: FastifyInstance, context: ServerContext): void {
  const model = {
    id: context.modelId,
    object: "model",
    created: Math.floor(context.wallClock() / 1000),
    owned_by: "vitrine",
  };
  addRoute(app, "GET", "/v1/models", () => ({ object: "list", data: [model] }));
  // A wildcard, since ids may hold slashes.
  addRoute(app, "GET", "/v1/models/*", (request) => {
    if (pathAfter(request.url, "/v1/models/") === model.id) return model;
    throw unknownModel(model.id);
  });
  const { modelId, version } = context;
  addRoute(app, "GET", "/", (_request, reply) =>
    reply
      .type("text/html; charset=utf-8")
      .header("content-security-policy", PAGE_POLICY)
      .send(renderPage({ modelId, version, traces: context.tracing.store !== undefined })),
  );
  addRoute(app, "GET", "/health", () => healthOf(context));
  addRoute(app, "GET", "/ready", (request, reply) => {
    const refusal = context.admission.refusal();
    if (refusal === undefined) return reply.send({ status: "ready" });
    request.exchange.error = refusal;
    // Whatever the reason, a probe looks for 503.
    return reply.status(503).header("retry-after", retryAfter(refusal)).send(errorBody(refusal.toWire()));
  });
  addRoute(app, "GET", "/metrics", async (request, reply) => {
    const { type, text } = await context.metrics.page(request.headers.accept);
    return reply.type(type).send(text);
  });
}

function healthOf(context: ServerContext): object {
  const { engine, admission, limits, tracing } = context;
  const { state, engines } = engine;
  const sum = (count: (stats: EngineStats) => number): number =>
    engines.reduce((total, { stats }) => total + (stats === undefined ? 0 : count(stats)), 0);
  return {
    status: "ok",
    version: context.version,
    uptime_seconds: (context.clock() - context.started) / 1e6,
    model: { id: context.modelId, ...(state.kind === "ready" ? modelOf(state.model) : {}) },
    device: state.kind === "ready" ? state.device : null,
    engine: stateOf(state),
    devices: engines.map(deviceOf),
    draining: admission.draining,
    queue: {
      in_flight: engine.inFlight,
      limit: limits.maxInFlight,
      waiting: sum(({ waiting }) => waiting),
      running: sum(({ running }) => running),
    },
    tracing: countersOf(tracing.counters()),
  };
}

const stateOf = (state: EngineState): object => ({
  state: state.kind,
  ...(state.kind === "starting" && state.phase !== undefined ? { phase: state.phase } : {}),
  ...(state.kind === "restarting" ? { restarts: state.restarts } : {}),
  ...(state.kind === "restarting" || state.kind === "failed" ? { error: state.error } : {}),
});

/** The engine of one device. */
const deviceOf = ({ device, state, inFlight }: EngineStatus): object => ({
  ...(state.kind === "ready" ? state.device : { requested: device }),
  ...stateOf(state),
  in_flight: inFlight,
});

const countersOf = (counters: ExportCounters): object => ({
  ended: counters.ended,
  delivered: counters.delivered,
  sampled_out: counters.sampledOut,
  queued: counters.queued,
  spooled: counters.spooled,
  recovered: counters.recovered,
  dropped: counters.dropped,
  messages: counters.messages,
  messages_dropped: counters.messagesDropped,
  attributes_dropped: counters.attributesDropped,
});

const modelOf = ({ dtype, contextLength, rewrites, warnings }: ModelDescription): object => ({
  dtype,
  context_length: contextLength,
  ...(rewrites === undefined ? {} : { rewrites }),
  ...(warnings === undefined ? {} : { warnings }),
});

function pathAfter(url: string, prefix: string): string | undefined {
  try {
    return decodeURIComponent(url.slice(prefix.length).split("?", 1)[0] ?? "");
  } catch {
    return undefined;
  }
}
