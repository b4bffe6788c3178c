import type { IncomingHttpHeaders } from "node:http";
import type { Socket } from "node:net";
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import { VitrineError } from "../errors.js";
import type { Micros } from "../protocol.js";
import { traceFields } from "../tracing/log-correlation.js";
import type { ServerContext } from "./context.js";
import { BODY_BYTES, clientClosed, errorBody, framesOf, retryAfter, toVitrineError } from "./error-response.js";
import { Exchange } from "./exchange.js";
import { logExchange, outcomeOf } from "./request-log.js";
import { addGenerateRoutes } from "./routes/generate-routes.js";
import { addInfoRoutes } from "./routes/info-routes.js";
import { GENERATING_ROUTES } from "./routes/routes.js";
import { addZipkinRoutes } from "./routes/zipkin-routes.js";
import { timeLimitOf } from "./time-limit.js";

declare module "fastify" {
  interface FastifyRequest {
    exchange: Exchange;
  }
}

/** Requests that no route takes share one name, so that metrics have few. */
const NO_ROUTE = "none";

/** Fastify with our routes, errors in OpenAI's shape, and an exchange around every request. */
export function createApp(context: ServerContext): FastifyInstance {
  const app = Fastify({
    bodyLimit: BODY_BYTES,
    // For receiving; what follows has the same limit in `Generation`.
    requestTimeout: Math.ceil(context.limits.requestTimeoutMs),
    forceCloseConnections: true,
    routerOptions: { maxParamLength: 512 },
    frameworkErrors: (error, request, reply) => {
      openExchange(context, request, reply);
      sendError(context, error, request, reply);
    },
    clientErrorHandler: (_error, socket) => refuseMalformed(socket),
  });
  app.decorateRequest("exchange");
  app.removeAllContentTypeParsers();
  // Parsed by the handler: a refused request is not, and a broken body need not cost the connection.
  app.addContentTypeParser("application/json", { parseAs: "string" }, (request, body, done) => {
    request.exchange.receivedBody();
    const refusal = unreadable(request.headers);
    if (refusal) done(refusal);
    else done(null, body);
  });
  // Many pipelined requests may listen to one connection.
  app.server.on("connection", (socket) => socket.setMaxListeners(0));
  app.addHook("onRequest", (request, reply, done) => {
    openExchange(context, request, reply);
    done();
  });
  app.setErrorHandler((error, request, reply) => sendError(context, error, request, reply));
  app.setNotFoundHandler((request, reply) =>
    sendError(context, new VitrineError("not_found", "No such path: GET / lists the ones there are."), request, reply),
  );
  addGenerateRoutes(app, context);
  addInfoRoutes(app, context);
  addZipkinRoutes(app, context);
  return app;
}

function openExchange(context: ServerContext, request: FastifyRequest, reply: FastifyReply): void {
  const start = context.clock();
  const { method } = request;
  const { headers, socket } = request.raw;
  const route = request.routeOptions.url ?? NO_ROUTE;
  const trace = GENERATING_ROUTES.has(route)
    ? context.tracing.startRequest({ method, path: route, headers, start, remote: remoteOf(socket) })
    : undefined;
  const id = requestId(headers["x-request-id"]) ?? `req-${context.newId()}`;
  reply.header("x-request-id", id);
  if (trace) reply.headers(trace.responseHeaders());
  if (context.admission.draining) reply.header("connection", "close");
  const exchange = new Exchange(
    {
      id,
      method,
      route,
      start,
      trace,
      limit: timeLimitOf(headers, context.limits.requestTimeoutMs),
      response: reply.raw,
      socket,
    },
    context.clock,
    (over, at) => record(context, over, at),
  );
  if (trace) context.exchanges.add(exchange);
  request.exchange = exchange;
}

function record(context: ServerContext, exchange: Exchange, at: Micros): void {
  exchange.leave?.();
  context.exchanges.delete(exchange);
  context.metrics.record({
    route: exchange.request.route,
    status: exchange.status,
    outcome: outcomeOf(exchange),
    seconds: (at - exchange.request.start) / 1e6,
    promptTokens: exchange.tokens?.prompt ?? 0,
    cachedTokens: exchange.tokens?.cached ?? 0,
    completionTokens: exchange.tokens?.completion ?? 0,
    trace: exchange.request.trace,
    model: context.modelId,
    caller: exchange.apiKey?.current,
    deviceSeconds: exchange.cost?.deviceSeconds ?? 0,
    joules: exchange.cost?.joules,
  });
  logExchange(context.logger, exchange, at);
}

function sendError(context: ServerContext, thrown: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const { exchange } = request;
  const error = exchange.gone ? clientClosed() : toVitrineError(thrown);
  exchange.error = error;
  if (error.code === "internal") {
    const stack = framesOf(error.details.cause ?? error);
    context.logger.error(
      { request_id: exchange.request.id, ...traceFields(exchange.request.trace), stack },
      "unforeseen error",
    );
  }
  const wait = retryAfter(error);
  if (wait !== undefined) reply.header("retry-after", wait);
  reply.status(error.status).send(errorBody(error.toWire()));
}

/** JSON is UTF-8 (RFC 8259) and comes as it is: other encodings would be read as something that was not sent. */
function unreadable(headers: IncomingHttpHeaders): VitrineError | undefined {
  const encoding = headers["content-encoding"];
  if (encoding !== undefined && encoding !== "identity") {
    return new VitrineError(
      "unsupported_media_type",
      "A compressed body is not supported: send it without content-encoding.",
    );
  }
  const charset = /charset="?([^";\s]+)/i.exec(headers["content-type"] ?? "")?.[1];
  if (charset === undefined || /^utf-?8$/i.test(charset)) return undefined;
  return new VitrineError(
    "unsupported_media_type",
    "The body must be JSON in UTF-8: send charset=utf-8, or no charset.",
  );
}

/** What is not HTTP never becomes a request; the answer is written by hand. */
function refuseMalformed(socket: Socket): void {
  if (!socket.writable) return;
  const body = JSON.stringify(
    errorBody({ code: "invalid_request", message: "This is not a well-formed HTTP request, or it came too slowly." }),
  );
  socket.end(
    `HTTP/1.1 400 Bad Request\r\ncontent-type: application/json; charset=utf-8\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
}

/** A caller's request id, if it can safely go into a header and a log. */
function requestId(header: string | readonly string[] | undefined): string | undefined {
  return typeof header === "string" && /^[\w.:/+=-]{1,128}$/.test(header) ? header : undefined;
}

function remoteOf(socket: Socket): { readonly address?: string; readonly port?: number } {
  const { remoteAddress: address, remotePort: port } = socket;
  return { ...(address === undefined ? {} : { address }), ...(port === undefined ? {} : { port }) };
}
