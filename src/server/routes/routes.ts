import type { FastifyInstance, FastifyReply, FastifyRequest, HTTPMethods } from "fastify";
import { VitrineError } from "../../errors.js";

/** Routes whose requests generate, and are traced. */
export const GENERATING_ROUTES: ReadonlySet<string> = new Set(["/v1/completions", "/v1/chat/completions"]);

type Handler = (request: FastifyRequest, reply: FastifyReply) => unknown;

const METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] as const satisfies readonly HTTPMethods[];

/** Adds a route, and refuses every other method on it with 405. */
export function addRoute(app: FastifyInstance, method: "GET" | "POST", url: string, handler: Handler): void {
  app.route({ method, url, handler });
  const refuse = (_request: FastifyRequest, reply: FastifyReply): never => {
    reply.header("allow", method);
    throw new VitrineError("method_not_allowed", `This method is not allowed here: use ${method}.`);
  };
  const others = METHODS.filter((other) => other !== method);
  app.route({
    method: method === "POST" ? [...others, "HEAD"] : others,
    url,
    // Before the body is read, which may be of any type.
    onRequest: async (request, reply) => refuse(request, reply),
    handler: refuse,
  });
}
