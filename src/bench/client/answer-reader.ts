import { createParser } from "eventsource-parser";
import type { Outcome } from "../result.js";
import { readAnswer } from "./completion-schema.js";

/** Takes an answer as it arrives, and says in the end what it was. Times are milliseconds of the caller's clock. */
export class AnswerReader {
  firstToken: number | undefined;
  /** When the last of it came. */
  end = 0;
  readonly gaps: number[] = [];
  promptTokens: number | undefined;
  outputTokens: number | undefined;
  /** How many chunks had text. */
  chunks = 0;
  text = "";
  #lastToken = 0;
  #finishReason: string | undefined;
  #done = false;
  #broken: string | undefined;
  #whole = "";
  #at = 0;
  readonly #parser = createParser({ onEvent: ({ data }) => this.#event(data) });

  constructor(private readonly streaming: boolean) {}

  /** Bytes, decoded, that arrived at `at`. */
  take(piece: string, at: number): void {
    this.#at = at;
    if (!this.#done) this.end = at;
    if (this.streaming) this.#parser.feed(piece);
    else this.#whole += piece;
  }

  /** The body is complete. */
  outcome(at: number): Outcome {
    if (!this.streaming) this.#body(at);
    if (this.#broken !== undefined) return { kind: "broken", reason: this.#broken };
    // Some targets leave out the last event; whoever told why generation ended has said all.
    if (this.streaming && !this.#done && this.#finishReason === undefined)
      return { kind: "broken", reason: "truncated" };
    return { kind: "ok", ...(this.#finishReason === undefined ? {} : { finishReason: this.#finishReason }) };
  }

  #body(at: number): void {
    this.end = at;
    const part = readAnswer(this.#whole);
    if (part === undefined) this.#broken = "malformed answer";
    else this.#read(part);
  }

  #event(data: string): void {
    if (data === "[DONE]") {
      this.#done = true;
      return;
    }
    const part = readAnswer(data);
    if (part === undefined) {
      this.#broken ??= "malformed event";
      return;
    }
    if (part.said) this.#token();
    this.#read(part);
  }

  #read({ text, finishReason, usage, error }: NonNullable<ReturnType<typeof readAnswer>>): void {
    this.text += text;
    this.#finishReason = finishReason ?? this.#finishReason;
    this.promptTokens = usage?.promptTokens ?? this.promptTokens;
    this.outputTokens = usage?.outputTokens ?? this.outputTokens;
    if (error !== undefined) this.#broken ??= `error event: ${error}`;
  }

  #token(): void {
    this.chunks += 1;
    if (this.firstToken === undefined) this.firstToken = this.#at;
    else this.gaps.push(this.#at - this.#lastToken);
    this.#lastToken = this.#at;
  }
}
