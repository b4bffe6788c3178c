import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { chatFormat, completionFormat } from "./answer-format.js";
import { StreamedAnswer, WholeAnswer } from "./answers.js";
import type { ServerContext } from "./context.js";
import { clientClosed } from "./error-response.js";
import type { Exchange } from "./exchange.js";
import { Generation } from "./generation.js";
import { prepare } from "./prepare.js";
import { addRoute } from "./routes.js";
import { type GenerationRequest, type Operation, parseRequest } from "./schema.js";

/** `POST /v1/completions` and `POST /v1/chat/completions`. */
export function addGenerateRoutes(app: FastifyInstance, context: ServerContext): void {
  const handle = (operation: Operation) => (request: FastifyRequest, reply: FastifyReply) =>
    generate(context, operation, request, reply);
  addRoute(app, "POST", "/v1/completions", handle("text_completion"));
  addRoute(app, "POST", "/v1/chat/completions", handle("chat"));
}

async function generate(
  context: ServerContext,
  operation: Operation,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<unknown> {
  const { exchange } = request;
  const refusal = context.admission.refusal();
  if (refusal) throw refusal;
  const { state } = context.engine;
  if (state.kind !== "ready") throw new Error("admitted without an engine");
  const wanted = parseRequest(
    operation,
    typeof request.body === "string" ? request.body : "",
    context.samplingDefaults,
  );
  logIgnored(context, exchange, wanted);
  const id = `${operation === "chat" ? "chatcmpl" : "cmpl"}-${context.newId()}`;
  const engineRequest = prepare(context, exchange, wanted, state.model, id);
  // Nothing was heard of the connection while this thread was busy.
  if (exchange.gone) throw clientClosed();
  const answer = answerOf(context, wanted, exchange, reply, id);
  new Generation(context, exchange, engineRequest, wanted, answer).start();
  return answer.reply;
}

function answerOf(
  context: ServerContext,
  wanted: GenerationRequest,
  exchange: Exchange,
  reply: FastifyReply,
  id: string,
): WholeAnswer | StreamedAnswer {
  const head = { id, created: Math.floor(context.wallClock() / 1000), model: context.modelId };
  const formatOf = wanted.operation === "chat" ? chatFormat : completionFormat;
  const format = formatOf(head, wanted.includeUsage);
  if (!wanted.stream) return new WholeAnswer(exchange, format);
  return new StreamedAnswer(exchange, context.clock, reply, format, wanted.includeUsage);
}

function logIgnored(context: ServerContext, exchange: Exchange, { ignoredFields }: GenerationRequest): void {
  if (ignoredFields.length === 0 || !context.logger.isLevelEnabled("debug")) return;
  // A field's name is the client's text: only what looks like a name is logged.
  const names = ignoredFields.filter((name) => /^[a-z][a-z0-9_]{0,39}$/.test(name)).slice(0, 16);
  context.logger.debug({ request_id: exchange.request.id, fields: names }, "ignored request fields");
}
