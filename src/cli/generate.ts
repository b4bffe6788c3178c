import { createParser } from "eventsource-parser";
import { z } from "zod";
import type { Config } from "../config.js";
import { VitrineError } from "../errors.js";
import { launch } from "./launch.js";
import { createLogger } from "./logger.js";
import type { Service } from "./service.js";
import { exitStatus, onStopSignal } from "./stop-signals.js";
import { waterfall, type ZipkinSpan } from "./waterfall.js";

export interface GenerateOptions {
  readonly prompt: string;
  readonly maxTokens: number;
  readonly temperature: number;
}

const chunkSchema = z.union([
  z.object({ choices: z.array(z.object({ text: z.string() })) }),
  z.object({ error: z.object({ message: z.string() }) }),
]);

/** Text of one SSE event of `/v1/completions`; throws what the server reports. */
function textOf(data: string): string {
  if (data === "[DONE]") return "";
  const chunk = chunkSchema.parse(JSON.parse(data));
  if ("error" in chunk) throw new VitrineError("inference_failed", chunk.error.message);
  return chunk.choices.map((choice) => choice.text).join("");
}

/** Sends the prompt, passes the prompt on where it is taken and text as it comes, and returns the id of the request's trace. */
async function stream(
  service: Service,
  options: GenerateOptions,
  signal: AbortSignal,
  write: (text: string) => void,
): Promise<string> {
  const { prompt, maxTokens, temperature } = options;
  const response = await fetch(`${service.address}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: service.modelId, prompt, max_tokens: maxTokens, temperature, stream: true }),
    signal,
  });
  const traceId = response.headers.get("x-b3-traceid") ?? "";
  if (!response.ok || response.body === null) throw new VitrineError("invalid_request", await errorOf(response));
  // Only now: a refusal is to stand on a line of its own.
  write(prompt);
  const parser = createParser({ onEvent: (event) => write(textOf(event.data)) });
  try {
    for await (const text of response.body.pipeThrough(new TextDecoderStream())) parser.feed(text);
  } catch (error) {
    // Ctrl-C ends the request, not the picture of its trace.
    if (!signal.aborted) throw error;
  }
  return traceId;
}

async function errorOf(response: Response): Promise<string> {
  const body = z
    .object({ error: z.object({ message: z.string() }) })
    .safeParse(await response.json().catch(() => null));
  return body.success ? body.data.error.message : `The server answered ${response.status}.`;
}

/** The trace from the embedded store; its last span is written just after the response ends. */
async function readTrace(service: Service, traceId: string): Promise<ZipkinSpan[]> {
  const deadline = Date.now() + 2_000;
  for (;;) {
    const response = await fetch(`${service.address}/zipkin/api/v2/trace/${traceId}`);
    const spans = response.ok ? ((await response.json()) as ZipkinSpan[]) : [];
    const complete = spans.some((span) => span.parentId === undefined);
    if (complete || Date.now() > deadline) return spans;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** The engine's steps with the request in them; each is a trace of one span. */
async function readSteps(service: Service, traceId: string): Promise<ZipkinSpan[]> {
  const query = new URLSearchParams({ spanName: "engine.step", annotationQuery: traceId, limit: "10000" });
  const response = await fetch(`${service.address}/zipkin/api/v2/traces?${query}`);
  return response.ok ? ((await response.json()) as ZipkinSpan[][]).flat() : [];
}

/** `vitrine generate`: the text, then the request's trace, with nothing else running. */
export async function generate(config: Config, options: GenerateOptions): Promise<void> {
  const quiet: Config = {
    ...config,
    host: "127.0.0.1",
    port: 0,
    adminPort: undefined,
    traceStore: "on",
    sampleRate: 1,
    sampleLimit: undefined,
    samplingRules: undefined,
  };
  const abort = new AbortController();
  let streaming = false;
  onStopSignal((count, signal) => {
    if (count > 1 || !streaming) process.exit(exitStatus(signal));
    abort.abort();
  });
  const service = await launch(quiet, createLogger(config.logLevel));
  try {
    await service.ready;
    streaming = true;
    const traceId = await stream(service, options, abort.signal, (text) => process.stdout.write(text));
    const request = await readTrace(service, traceId);
    const steps = config.traceDetail === "step" ? await readSteps(service, traceId) : [];
    const style = { width: process.stdout.columns ?? 100, color: process.stdout.isTTY === true };
    process.stdout.write(`\n\n${waterfall([...request, ...steps], style)}\n`);
  } finally {
    await service.stop(0);
  }
}
