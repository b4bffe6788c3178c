import Fastify, { type FastifyInstance } from "fastify";
import { VitrineError } from "../errors.js";
import { parseSamplingPolicy, type SamplingPolicy } from "../tracing/context/sampling-policy.js";
import type { Tracing } from "../tracing/contract.js";
import { errorBody, toVitrineError } from "./error-response.js";
import { ADMIN_HOST, listenError } from "./listening.js";

/** A page in a browser on this machine can make its own name mean this address, not change what it sends as `Host`. */
const LOCAL_NAMES: ReadonlySet<string> = new Set([ADMIN_HOST, "localhost"]);
const BODY_BYTES = 2 ** 20;

export interface AdminOptions {
  readonly tracing: Pick<Tracing, "sampling">;
  /** What a document that is PUT need not say. */
  readonly defaults: SamplingPolicy;
  /** Called after a change. */
  readonly changed: (policy: SamplingPolicy) => void;
}

export interface Admin {
  /** Resolves with the URL; port 0 takes a free one. Throws VitrineError `port_unavailable`. */
  listen(port: number): Promise<string>;
  close(): Promise<void>;
}

/** `GET /sampling` and `PUT /sampling`, on the loopback address alone, for whoever has a shell on this machine. */
export function createAdmin(options: AdminOptions): Admin {
  const app = createApp(options);
  return {
    async listen(port) {
      try {
        return await app.listen({ host: ADMIN_HOST, port });
      } catch (thrown) {
        throw listenError(thrown, { flag: "--admin-port", host: ADMIN_HOST, port });
      }
    },
    close: () => app.close(),
  };
}

function createApp({ tracing, defaults, changed }: AdminOptions): FastifyInstance {
  const app = Fastify({ bodyLimit: BODY_BYTES, forceCloseConnections: true });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("application/json", { parseAs: "string" }, (_request, body, done) => done(null, body));
  app.addHook("onRequest", async (request) => {
    if (!LOCAL_NAMES.has(request.hostname)) throw notFound();
  });
  app.setNotFoundHandler(() => {
    throw notFound();
  });
  app.setErrorHandler((thrown, _request, reply) => {
    const error = toVitrineError(thrown);
    reply.status(error.status).send(errorBody(error.toWire()));
  });
  app.get("/sampling", () => tracing.sampling);
  app.put("/sampling", (request) => {
    tracing.sampling = parse(String(request.body), defaults);
    changed(tracing.sampling);
    return tracing.sampling;
  });
  return app;
}

function parse(body: string, defaults: SamplingPolicy): SamplingPolicy {
  try {
    return parseSamplingPolicy(body, "body", defaults);
  } catch (thrown) {
    // What is a broken start of a command line is a bad request here.
    throw new VitrineError("invalid_request", VitrineError.from(thrown, "internal").message);
  }
}

const notFound = (): VitrineError =>
  new VitrineError("not_found", "No such path: GET or PUT http://127.0.0.1/sampling, by that name or localhost.");
