/** What is measured: an OpenAI-compatible service at an address. */
import { z } from "zod";
import { VitrineError } from "../../errors.js";
import type { ChatPlan, Message } from "../prompts/chat-plan.js";

export type Api = "chat" | "completions";

/** How requests are made. */
export interface RequestOptions {
  readonly api: Api;
  readonly model: string;
  readonly stream: boolean;
  readonly temperature?: number;
  readonly ignoreEos: boolean;
  /** Further fields of the body; they replace those of the same name. */
  readonly extraBody: Readonly<Record<string, unknown>>;
}

/** `http://host:8080` and `http://host:8080/v1` mean the same. Without a slash at the end. */
export function baseOf(url: string): string {
  const base = url.replace(/\/+$/, "");
  return /\/v\d+$/.test(new URL(base).pathname) ? base : `${base}/v1`;
}

export const routeOf = (base: string, api: Api): string =>
  `${base}${api === "chat" ? "/chat/completions" : "/completions"}`;

/** The body that asks for the answer to `turn`, after the messages `before`. */
export function bodyOf(options: RequestOptions, before: readonly Message[], turn: string, maxTokens: number): string {
  const { api, model, stream, temperature, ignoreEos, extraBody } = options;
  const prompt =
    api === "chat"
      ? { messages: [...before, { role: "user", content: turn }] }
      : { prompt: [...before.map(({ content }) => content), turn].join("\n") };
  return JSON.stringify({
    model,
    ...prompt,
    max_tokens: maxTokens,
    ...(temperature === undefined ? {} : { temperature }),
    ...(ignoreEos ? { ignore_eos: true } : {}),
    ...(stream ? { stream: true, stream_options: { include_usage: true } } : {}),
    ...extraBody,
  });
}

/** The messages of a chat that has got so far. */
export function history({ opening, turns }: ChatPlan, answers: readonly string[]): Message[] {
  return [
    ...opening,
    ...answers.flatMap((answer, index) => [
      { role: "user", content: turns[index] ?? "" },
      { role: "assistant", content: answer },
    ]),
  ];
}

const models = z.object({ data: z.array(z.object({ id: z.string() })).min(1) });

export interface Description {
  /** The first model that it lists. */
  readonly model?: string;
  /** What it says it is. */
  readonly server?: string;
  /** HTTP status of its list of models. */
  readonly status: number;
}

/** What the target says of itself. Throws VitrineError `config_invalid` where nothing answers there. */
export async function describeTarget(
  base: string,
  headers: Record<string, string>,
  signal: AbortSignal,
): Promise<Description> {
  let response: Response;
  try {
    response = await fetch(`${base}/models`, {
      headers,
      signal: AbortSignal.any([signal, AbortSignal.timeout(10_000)]),
    });
  } catch (error) {
    const cause = error instanceof Error ? (error.cause as NodeJS.ErrnoException | undefined) : undefined;
    const why = cause?.code ?? cause?.message ?? (error instanceof Error ? error.name : "it failed");
    throw new VitrineError("config_invalid", `--url: nothing answers at ${base} (${why}): start the target first.`);
  }
  const listed = models.safeParse(await response.json().catch(() => undefined));
  const [first] = listed.success ? listed.data.data : [];
  const server = response.headers.get("server") ?? (await versionOf(base, headers));
  const { status } = response;
  return { status, ...(first === undefined ? {} : { model: first.id }), ...(server === undefined ? {} : { server }) };
}

/** vitrine and vLLM say their version outside the API. */
async function versionOf(base: string, headers: Record<string, string>): Promise<string | undefined> {
  const root = base.replace(/\/v\d+$/, "");
  for (const path of ["/version", "/health"]) {
    const answer = await fetch(root + path, { headers, signal: AbortSignal.timeout(2_000) })
      .then((response) => (response.ok ? response.json() : undefined))
      .catch(() => undefined);
    const version = z.object({ version: z.string().max(64) }).safeParse(answer);
    if (version.success) return version.data.version;
  }
  return undefined;
}
