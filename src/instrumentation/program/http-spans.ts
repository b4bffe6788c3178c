/** OpenTelemetry's HTTP instrumentations, and what of them depends on the program's web framework. */
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { type IncomingMessage, ServerResponse } from "node:http";
import { context, type Span } from "@opentelemetry/api";
import { getRPCMetadata, RPCType } from "@opentelemetry/core";
import type { Instrumentation } from "@opentelemetry/instrumentation";
import { HttpInstrumentation } from "@opentelemetry/instrumentation-http";
import { UndiciInstrumentation } from "@opentelemetry/instrumentation-undici";

/** `onPort` is told the port of each request that comes in. */
export function httpInstrumentation(onPort: (port: number) => void): Instrumentation {
  return new HttpInstrumentation({
    startIncomingSpanHook: ({ socket }) => {
      if (socket.localPort !== undefined) onPort(socket.localPort);
      return {};
    },
    applyCustomAttributesOnSpan: (span, request, response) => {
      if (response instanceof ServerResponse) nameByRoute(span, request as RoutedRequest);
    },
  });
}

export const undiciInstrumentation = (): Instrumentation => new UndiciInstrumentation();

/** What Express, and routers made after it, leave on a request. */
interface RoutedRequest extends IncomingMessage {
  readonly baseUrl?: string;
  readonly route?: { readonly path?: unknown };
}

function nameByRoute(span: Span, { method, baseUrl = "", route }: RoutedRequest): void {
  if (typeof route?.path !== "string") return;
  const path = `${baseUrl}${route.path}`;
  span.setAttribute("http.route", path).updateName(`${method} ${path}`);
}

const FASTIFY = "tracing:fastify.request.handler:start";

/** Fastify tells its routes on a diagnostics channel. Returns what stops listening. */
export function watchFastifyRoutes(): () => void {
  const told = (message: unknown): void => {
    const { route } = message as { readonly route?: { readonly url?: string } };
    const request = getRPCMetadata(context.active());
    if (request?.type === RPCType.HTTP && route?.url !== undefined) request.route = route.url;
  };
  subscribe(FASTIFY, told);
  return () => void unsubscribe(FASTIFY, told);
}
