/** A program that generates with onnxruntime-node alone: a prompt, and greedy steps with the cache that each run returns. Prints the tokens. */
import type { InferenceSession, Tensor } from "onnxruntime-node";

type Runtime = typeof import("onnxruntime-node");

const LAYERS = [0, 1, 2, 3, 4, 5];
const KINDS = ["key", "value"];

export async function exercise(
  runtime: Runtime,
  graph: string,
  prompt: readonly number[],
  steps: number,
): Promise<void> {
  const session = await runtime.InferenceSession.create(graph, { logSeverityLevel: 3 });
  const int64 = (values: readonly number[]): Tensor =>
    new runtime.Tensor("int64", BigInt64Array.from(values, BigInt), [1, values.length]);
  let cache: InferenceSession.OnnxValueMapType = Object.fromEntries(
    names("past_key_values").map((name) => [name, new runtime.Tensor("float32", new Float32Array(0), [1, 3, 0, 32])]),
  );
  const tokens = [...prompt];
  let next = tokens;
  for (let step = 0; step < steps; step++) {
    const mask = int64(tokens.map(() => 1));
    const { logits, ...present } = await session.run({ input_ids: int64(next), attention_mask: mask, ...cache });
    cache = Object.fromEntries(
      names("present").map((name) => [name.replace("present", "past_key_values"), present[name] as Tensor]),
    );
    next = [likeliest(logits as Tensor)];
    tokens.push(...next);
  }
  console.log(tokens.join(" "));
  await session.run({}).catch((error: Error) => console.log(error.message));
  await session.release();
}

const names = (prefix: string) => LAYERS.flatMap((layer) => KINDS.map((kind) => `${prefix}.${layer}.${kind}`));

function likeliest({ data, dims }: Tensor): number {
  const last = Array.from(data as Float32Array).slice(-(dims[2] ?? 0));
  return last.indexOf(Math.max(...last));
}
