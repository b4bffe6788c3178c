import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { type ErrorCode, VitrineError } from "../../errors.js";
import type { EmbeddedStore, StoreAnswer } from "../../tracing/contract.js";
import { LIST_BYTES } from "../../tracing/store/write-api.js";
import type { ServerContext } from "../context.js";
import { toVitrineError } from "../error-response.js";
import { addRoute } from "./routes.js";

const API = "/zipkin/api/v2";

/** The trace store, as Zipkin would be asked and sent to. */
export function addZipkinRoutes(app: FastifyInstance, context: ServerContext): void {
  // Where people look for Zipkin's own page; ours shows the newest traces.
  addRoute(app, "GET", "/zipkin", (_request, reply) => reply.redirect("/"));
  // What links to Zipkin's page of a trace means the trace.
  addRoute(app, "GET", "/zipkin/traces/:id", (request, reply) => {
    const { id } = request.params as { readonly id: string };
    return reply.redirect(`${API}/trace/${encodeURIComponent(id)}`);
  });
  addRoute(app, "GET", `${API}/*`, async (request, reply) => {
    const answer = await storeOf(context).get(request.url.slice(API.length));
    return tell(request, reply.type("application/json; charset=utf-8"), answer);
  });
  app.register(async (scope) => addIntake(scope, context));
}

/** Where other services send spans to. Their bodies are read in the export thread, and may be gzipped. */
function addIntake(scope: FastifyInstance, context: ServerContext): void {
  scope.removeAllContentTypeParsers();
  scope.addContentTypeParser(
    "application/json",
    { parseAs: "buffer", bodyLimit: LIST_BYTES },
    (request, body, done) => {
      request.exchange.receivedBody();
      done(null, body);
    },
  );
  scope.setErrorHandler((thrown) => {
    const error = toVitrineError(thrown);
    if (error.code !== "request_too_large") throw error;
    throw new VitrineError(error.code, `The list is larger than ${LIST_BYTES} bytes: send fewer spans at once.`);
  });
  scope.post(`${API}/spans`, async (request, reply) => {
    const store = storeOf(context);
    const encoding = request.headers["content-encoding"] ?? "identity";
    if (encoding !== "identity" && encoding !== "gzip") {
      throw new VitrineError("unsupported_media_type", "Spans may be gzipped, and not encoded in any other way.");
    }
    const answer = await store.post((request.body as Buffer | undefined) ?? Buffer.alloc(0), encoding === "gzip");
    return tell(request, reply.type("text/plain; charset=utf-8"), answer);
  });
}

function storeOf({ tracing: { store } }: ServerContext): EmbeddedStore {
  if (store !== undefined) return store;
  throw new VitrineError("not_found", "No traces are kept here: start with --trace-store on, or ask your Zipkin.");
}

const CODES: Readonly<Record<number, ErrorCode>> = {
  400: "invalid_request",
  404: "not_found",
  413: "request_too_large",
};

/** The answer is in Zipkin's own words, which may repeat what was asked for; metrics and the log hear of the status alone. */
function tell(request: FastifyRequest, reply: FastifyReply, { status, body }: StoreAnswer): FastifyReply {
  if (status >= 400) {
    request.exchange.error = new VitrineError(CODES[status] ?? "internal", `The trace store answered ${status}.`);
  }
  return reply.status(status).send(body);
}
