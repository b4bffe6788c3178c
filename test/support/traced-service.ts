/** A real vitrine that sends its traces to a real Zipkin, and requests to it by the official OpenAI client. */
import type OpenAI from "openai";
import { openaiClient } from "./openai-client.js";
import { requirePart } from "./requirements.js";
import { VitrineProcess } from "./vitrine-process.js";
import { ZipkinClient } from "./zipkin-client.js";
import { sharedZipkin } from "./zipkin-server.js";

/** In what clients send only: whoever finds it anywhere else has found a leak. */
export const MARKER = "Zanzibarquux";
/** Repetition is rewarded until nothing else is left, the end neither: these run to their last token. */
const ENDLESS = { model: "tiny", temperature: 0, presence_penalty: -2, frequency_penalty: -2 } as const;

export class TracedService {
  private constructor(
    readonly zipkin: ZipkinClient,
    readonly vitrine: VitrineProcess,
    readonly openai: OpenAI,
  ) {}

  /** For a `before` hook; skips its suite where Zipkin cannot be had. */
  static async start(context: Mocha.Context, flags: readonly string[] = []): Promise<TracedService> {
    // The first time it is a download of 130 MB.
    context.timeout(600_000);
    const start = await sharedZipkin();
    const why = start.kind === "running" ? "" : start.why;
    requirePart(context, { name: "a real Zipkin server", available: why === "", why, mandatoryInCi: true });
    if (start.kind !== "running") throw new Error(why);
    const vitrine = await VitrineProcess.start({ flags: ["--zipkin-endpoint", start.server.url, ...flags] });
    const openai = openaiClient(vitrine.url);
    // The first request pays for lazy loading everywhere.
    await openai.completions.create({ model: "tiny", prompt: "Once", max_tokens: 8 });
    return new TracedService(new ZipkinClient(start.server.url), vitrine, openai);
  }

  /** Asks with the headers and returns the trace id that the response names. */
  async ask(headers: Record<string, string>): Promise<string> {
    const body = { model: "tiny", prompt: `${MARKER} once upon a time`, max_tokens: 4 };
    const { response } = await this.openai.completions.create(body, { headers }).withResponse();
    return response.headers.get("x-b3-traceid") ?? "";
  }

  /** A streaming request's trace id and finish reason; it hangs up after `enough` chunks. */
  async stream(maxTokens: number, enough = Number.POSITIVE_INFINITY, headers: Record<string, string> = {}) {
    const body = { ...ENDLESS, prompt: "Once upon a time", max_tokens: maxTokens, stream: true } as const;
    const { data, response } = await this.openai.completions.create(body, { headers }).withResponse();
    let chunks = 0;
    let finish: string | undefined;
    for await (const chunk of data) {
      finish = chunk.choices[0]?.finish_reason ?? finish;
      // Leaving the loop closes the connection.
      if (++chunks >= enough) break;
    }
    return { traceId: response.headers.get("x-b3-traceid") ?? "", finish };
  }

  async stop(): Promise<void> {
    await this.vitrine.stop();
  }
}
