/** Traces to put queries to, of services that no other suite has. */
import { randomBytes, randomInt } from "node:crypto";
import type { ZipkinSpan } from "../../src/tracing/export/zipkin-span.js";

/** Zipkin is shared with other suites: names of this run, at a time when nobody else's spans began. */
export const RUN = randomBytes(4).toString("hex");
export const NOW = Math.floor(Date.now() / 1000) * 1000;
export const BEGIN = NOW - 40 * 86_400_000 - (Number.parseInt(RUN, 16) % 3_600) * 1000;
export const [WEB, API, MODEL] = ["Web", "api", "model"].map((name) => `${name}-${RUN}`) as [string, string, string];

export const hex = (digits: number): string => randomBytes(digits / 2).toString("hex");

function span(change: Partial<ZipkinSpan> & { traceId: string; atMs: number }): ZipkinSpan {
  const { atMs, ...rest } = change;
  const timestamp = (BEGIN + atMs) * 1000;
  return { id: hex(16), name: "work", timestamp, duration: 1_000, localEndpoint: { serviceName: MODEL }, ...rest };
}

/** Web calls api (an id of its own, or one they share), api calls the model; each trace a little other than the last. */
export function makeTrace(number: number): readonly ZipkinSpan[] {
  const traceId = hex(number % 4 === 0 ? 16 : 32);
  const atMs = number * 1_000;
  const failed = number % 5 === 0;
  const web = span({
    traceId,
    atMs,
    name: "GET /ask",
    kind: "CLIENT",
    duration: 1_000 * (number + 3),
    localEndpoint: { serviceName: WEB },
    remoteEndpoint: { serviceName: API, ipv4: "10.0.0.2", port: 80 },
  });
  const sharing = number % 3 === 0;
  const api = span({
    traceId,
    atMs: atMs + 1,
    name: "get /ask",
    kind: "SERVER",
    duration: 1_000 * (number + 2),
    localEndpoint: { serviceName: API, ipv4: "10.0.0.2" },
    ...(sharing ? { id: web.id, shared: true } : { parentId: web.id }),
    tags: { "http.path": "/ask", number: String(number), ...(failed ? { error: "boom and = more" } : {}) },
  });
  const model = span({
    traceId,
    atMs: atMs + 2,
    parentId: api.id,
    name: number % 2 === 0 ? "model.generate" : "model.load",
    duration: 500 * (number + 1),
    annotations: [{ timestamp: (BEGIN + atMs + 2) * 1000, value: "first_token" }],
    ...(number % 7 === 0 ? { tags: { error: "" } } : {}),
  });
  const store = span({
    traceId,
    atMs: atMs + 2,
    parentId: model.id,
    name: "select",
    kind: number % 2 === 0 ? "CLIENT" : "PRODUCER",
    remoteEndpoint: { serviceName: `Store-${RUN}` },
  });
  // Some traces have lost their beginning, some arrive from the end.
  const spans = number % 6 === 5 ? [api, model, store] : [web, api, model, store];
  return number % 2 === 0 ? spans : [...spans].reverse();
}

/** Any tree of spans of any kind, beginning in a second of its own. */
export function randomTrace(number: number): readonly ZipkinSpan[] {
  const traceId = hex(32);
  const names = [WEB, API, MODEL];
  const pick = <T>(values: readonly T[]): T => values[randomInt(values.length)] as T;
  const spans: ZipkinSpan[] = [];
  for (let left = 1 + randomInt(6); left > 0; left--) {
    const parent = spans.length === 0 ? undefined : pick(spans);
    const kind = pick([undefined, "CLIENT", "SERVER", "PRODUCER", "CONSUMER"] as const);
    const remote = pick([undefined, ...names]);
    const answered = spans.some(({ id, shared }) => shared === true && id === parent?.id);
    const halfOf = kind === "SERVER" && parent?.kind === "CLIENT" && !answered ? parent : undefined;
    const lost = randomInt(8) === 0;
    spans.push(
      span({
        traceId,
        atMs: (RANDOM_FROM + number) * 1_000,
        localEndpoint: { serviceName: pick(names) },
        ...(kind === undefined ? {} : { kind }),
        ...(remote === undefined ? {} : { remoteEndpoint: { serviceName: remote } }),
        ...(halfOf === undefined ? below(parent, lost) : sharedWith(halfOf)),
        ...(randomInt(4) === 0 ? { tags: { error: "" } } : {}),
      }),
    );
  }
  return spans;
}

/** Its parent's id, or one that nobody has. */
const below = (parent: ZipkinSpan | undefined, lost: boolean) =>
  parent === undefined ? {} : { parentId: lost ? hex(16) : parent.id };

/** What a server half has of its client's; one client has one answer. */
const sharedWith = ({ id, parentId }: ZipkinSpan) => ({
  id,
  shared: true,
  ...(parentId === undefined ? {} : { parentId }),
});

/** Seconds after `BEGIN` at which the random traces begin. */
export const RANDOM_FROM = 100;
