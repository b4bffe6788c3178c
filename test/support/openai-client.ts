import OpenAI from "openai";

/** The official client as any program sets it up, but for retries: tests see each answer. */
export function openaiClient(url: string): OpenAI {
  return new OpenAI({ baseURL: `${url}/v1`, apiKey: "unused", maxRetries: 0 });
}
