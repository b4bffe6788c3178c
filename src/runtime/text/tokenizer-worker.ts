/** Entry of the tokenizer's thread: loads the model's tokenizer and template, then encodes what it is sent. */
import { parentPort, workerData } from "node:worker_threads";
import { VitrineError, type WireError } from "../../errors.js";
import { loadChatTemplate } from "./chat-template.js";
import { encodeWithin } from "./encode-within.js";
import { type EncodeInput, loadTokenizer, type Tokenizer } from "./tokenizer.js";

export interface WorkerSetup {
  /** The model's. */
  readonly directory: string;
}

export interface EncodeJob {
  readonly input: EncodeInput;
  readonly mostTokens: number;
}

export type EncodeResult =
  | { readonly kind: "ids"; readonly ids: Int32Array<ArrayBuffer> }
  | { readonly kind: "too_long" }
  | { readonly kind: "failed"; readonly error: WireError };

const { directory } = workerData as WorkerSetup;
const tokenizer = await loadTokenizer(directory);
const template = loadChatTemplate(directory);

parentPort?.on("message", (job: EncodeJob) => {
  const result = resultOf(job);
  parentPort?.postMessage(result, result.kind === "ids" ? [result.ids.buffer] : []);
});

function resultOf({ input, mostTokens }: EncodeJob): EncodeResult {
  try {
    const ids = encode(tokenizer, input, mostTokens);
    return ids === undefined ? { kind: "too_long" } : { kind: "ids", ids: new Int32Array(ids) };
  } catch (thrown) {
    // What was not thrown on purpose may quote the prompt.
    const known = thrown instanceof VitrineError;
    const error = known ? thrown : new VitrineError("internal", "The tokenizer failed on this prompt.");
    return { kind: "failed", error: error.toWire() };
  }
}

function encode(by: Tokenizer, input: EncodeInput, mostTokens: number): Int32Array | undefined {
  if (input.kind === "text") return encodeWithin(by, input.text, { addSpecialTokens: true }, mostTokens);
  if (template === undefined) throw new VitrineError("internal", "The model has no chat template.");
  return encodeWithin(by, template.render(input.messages, input.tools), { addSpecialTokens: false }, mostTokens);
}
