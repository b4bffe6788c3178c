import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { VitrineError } from "../../errors.js";
import type { ModelDescription } from "../../protocol.js";
import { apiKeyOf } from "../../tracing/context/api-key.js";
import { chatFormat, completionFormat } from "../answer/answer-format.js";
import { StreamedAnswer, WholeAnswer } from "../answer/answers.js";
import { Generation } from "../answer/generation.js";
import { callerOf } from "../caller.js";
import type { ServerContext } from "../context.js";
import { clientClosed, ID_BODY_BYTES } from "../error-response.js";
import type { Exchange } from "../exchange.js";
import { checkTokenIds, prepare, unknownModel } from "../request/prepare.js";
import { type GenerationRequest, type Operation, parseRequest } from "../request/schema.js";
import { tokenize } from "../request/tokenize.js";
import { addRoute } from "./routes.js";

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
  const key = apiKeyOf(request.headers);
  const caller = callerOf(key, context.hashKey);
  if (key !== undefined) exchange.apiKey = context.hashIdentity(key);
  const model = admit(context, 1, caller);
  const body = typeof request.body === "string" ? request.body : "";
  refuseManyIds(body);
  const wanted = parseRequest(operation, body, context.samplingDefaults);
  logIgnored(context, exchange, wanted);
  const id = `${operation === "chat" ? "chatcmpl" : "cmpl"}-${context.newId()}`;
  if (wanted.model !== context.modelId) throw unknownModel(context.modelId);
  checkTokenIds(wanted, model);
  const places = wanted.prompts.length * wanted.n;
  context.admission.checkSize(places, wanted.n > 1 ? "n" : "prompt");
  admit(context, places, caller);
  exchange.leave = context.admission.enter(places, caller);
  const tokenizing = tokenize(context, exchange, wanted, model.contextLength);
  const prompts = tokenizing instanceof Promise ? await tokenizing : tokenizing;
  const requests = prepare(context, exchange, { wanted, id, caller, model }, prompts);
  // Nothing was heard of the connection while this thread was busy.
  if (exchange.gone) throw clientClosed();
  // Others may have taken the last place while this one was tokenized.
  if (prompts !== tokenizing) admit(context, places);
  const answer = answerOf(context, wanted, exchange, reply, id);
  new Generation(context, exchange, requests, wanted, answer).start();
  return answer.reply;
}

/** Looks before parsing. Inside a string of JSON the quote before the colon would be escaped. */
function refuseManyIds(body: string): void {
  if (body.length <= ID_BODY_BYTES || !/"prompt"\s*:\s*\[[\s[]*\d/.test(body)) return;
  throw new VitrineError(
    "request_too_large",
    `A body with token ids may have ${ID_BODY_BYTES} bytes: send fewer of them.`,
    { param: "prompt" },
  );
}

/** The model that would serve a request now; throws why none would. */
function admit({ admission, engine }: ServerContext, places: number, caller?: string): ModelDescription {
  const refusal = admission.refusal(places, caller);
  if (refusal) throw refusal;
  if (engine.state.kind !== "ready") throw new Error("admitted without an engine");
  return engine.state.model;
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
  if (!wanted.stream) return new WholeAnswer(exchange, format, wanted.logprobs !== undefined);
  return new StreamedAnswer(exchange, context.clock, reply, format, wanted.includeUsage);
}

function logIgnored(context: ServerContext, exchange: Exchange, { ignoredFields }: GenerationRequest): void {
  if (ignoredFields.length === 0) return;
  // How many, since the name of a field that is not ours is the client's text.
  context.logger.debug({ request_id: exchange.request.id, fields: ignoredFields.length }, "ignored request fields");
}
